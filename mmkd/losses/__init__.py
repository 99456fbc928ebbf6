"""Distillation losses and the divergences they use, registered by name."""

from mmkd import registry  # noqa: F401  first: it names a missing extra

from .adapters import Adapter
from .attention_transfer_loss import AttentionTransferLoss
from .cosine_feature_loss import CosineFeatureLoss
from .ctkd_loss import CTKDLoss
from .cwd_loss import CWDLoss
from .deep_supervision_loss import DeepSupervisionLoss
from .dist_loss import DISTLoss
from .distillation_loss import DistillationLoss
from .divergences import (
    AdaptiveKL,
    AlphaBeta,
    BalancedKL,
    EntropyBalancedKL,
    FixedDivergence,
    ForwardKL,
    JensenShannon,
    ReverseKL,
    SkewKL,
    ToDi,
)
from .dkd_loss import DKDLoss
from .feature_loss import FeatureLoss
from .feature_mse_loss import FeatureMSELoss
from .ifvd_loss import IFVDLoss
from .kd_loss import KDLoss
from .logit_loss import LogitLoss
from .mlkd_loss import MLKDLoss
from .schedule import Progress, WeightSchedule
from .similarity_loss import SimilarityLoss
from .teacher_correction import TeacherCorrection

__all__ = [
    'Adapter',
    'AdaptiveKL',
    'AlphaBeta',
    'AttentionTransferLoss',
    'BalancedKL',
    'CTKDLoss',
    'CWDLoss',
    'CosineFeatureLoss',
    'DISTLoss',
    'DKDLoss',
    'DeepSupervisionLoss',
    'DistillationLoss',
    'EntropyBalancedKL',
    'FeatureLoss',
    'FeatureMSELoss',
    'FixedDivergence',
    'ForwardKL',
    'IFVDLoss',
    'JensenShannon',
    'KDLoss',
    'LogitLoss',
    'MLKDLoss',
    'Progress',
    'ReverseKL',
    'SimilarityLoss',
    'SkewKL',
    'TeacherCorrection',
    'ToDi',
    'WeightSchedule',
]
