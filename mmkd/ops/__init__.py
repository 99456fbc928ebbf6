"""Fast paths behind the losses: the same values with less time and memory."""

from .closed_form import Form
from .fused import mean_divergence

__all__ = ['Form', 'mean_divergence']
