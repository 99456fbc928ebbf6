"""The fused implementation of KDLoss: the eager values with less time and memory."""

from mmkd.functional import balanced_kl_divergence

from .class_terms import CLASS_TERMS
from .closed_form import DivergenceOptions
from .fused import fused_kd_loss

# Functions of mmkd.functional that have a closed form here.
FUSED = {balanced_kl_divergence, *CLASS_TERMS}

__all__ = ['FUSED', 'DivergenceOptions', 'fused_kd_loss']
