"""Distillation losses and the divergences they use, registered by name."""

from mmkd import registry  # noqa: F401  first: it names a missing extra

from .ctkd_loss import CTKDLoss
from .cwd_loss import CWDLoss
from .dist_loss import DISTLoss
from .divergences import BalancedKL, ForwardKL, ReverseKL
from .dkd_loss import DKDLoss
from .kd_loss import KDLoss
from .logit_loss import LogitLoss
from .mlkd_loss import MLKDLoss
from .schedule import Progress, WeightSchedule

__all__ = [
    'BalancedKL',
    'CTKDLoss',
    'CWDLoss',
    'DISTLoss',
    'DKDLoss',
    'ForwardKL',
    'KDLoss',
    'LogitLoss',
    'MLKDLoss',
    'Progress',
    'ReverseKL',
    'WeightSchedule',
]
