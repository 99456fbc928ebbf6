from .ctkd_loss import CTKDLoss
from .cwd_loss import CWDLoss
from .dist_loss import DISTLoss
from .dkd_loss import DKDLoss
from .kd_loss import KDLoss
from .logit_loss import LogitLoss
from .mlkd_loss import MLKDLoss

__all__ = [
    'CTKDLoss',
    'CWDLoss',
    'DISTLoss',
    'DKDLoss',
    'KDLoss',
    'LogitLoss',
    'MLKDLoss',
]
