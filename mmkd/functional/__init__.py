"""Pure tensor mathematics: torch only; all validation of values lives here."""

from .divergence import balanced_kl_divergence, kl_divergence
from .standardize import standardize

__all__ = ['balanced_kl_divergence', 'kl_divergence', 'standardize']
