from .cwd_loss import CWDLoss
from .kd_loss import KDLoss
from .logit_loss import LogitLoss

__all__ = ['CWDLoss', 'KDLoss', 'LogitLoss']
