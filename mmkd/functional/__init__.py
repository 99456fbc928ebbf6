"""Pure tensor mathematics: torch only; all validation of values lives here."""

from .balance import class_balance
from .divergence import balanced_kl_divergence, kl_divergence
from .standardize import standardize

__all__ = ['balanced_kl_divergence', 'class_balance', 'kl_divergence', 'standardize']
