from mmkd import registry  # noqa: F401  first: it says which extra is missing

from .backbones import (
    CIFARVGG,
    CIFARMobileNetV2,
    CIFARResNet,
    CIFARShuffleNetV2,
    CIFARWideResNet,
    MobileNetV1,
)
from .distillers import Distiller
from .divergences import BalancedKL, ForwardKL, ReverseKL
from .losses import CTKDLoss, CWDLoss, DISTLoss, DKDLoss, KDLoss, LogitLoss, MLKDLoss

__all__ = [
    'CIFARVGG',
    'BalancedKL',
    'CIFARMobileNetV2',
    'CIFARResNet',
    'CIFARShuffleNetV2',
    'CIFARWideResNet',
    'CTKDLoss',
    'CWDLoss',
    'DISTLoss',
    'DKDLoss',
    'Distiller',
    'ForwardKL',
    'KDLoss',
    'LogitLoss',
    'MLKDLoss',
    'MobileNetV1',
    'ReverseKL',
]
