from mmkd import registry  # noqa: F401  first: it says which extra is missing

from .distillers import Distiller
from .divergences import BalancedKL, ForwardKL, ReverseKL
from .losses import CWDLoss, KDLoss, LogitLoss

__all__ = [
    'BalancedKL',
    'CWDLoss',
    'Distiller',
    'ForwardKL',
    'KDLoss',
    'LogitLoss',
    'ReverseKL',
]
