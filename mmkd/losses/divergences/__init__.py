"""Divergences as registered modules, which a config can combine with any loss."""

from .alpha_beta import AlphaBeta
from .balanced_kl import BalancedKL, ForwardKL, ReverseKL
from .build import build_divergence
from .fixed_divergence import FixedDivergence
from .mixture_kl import JensenShannon, SkewKL
from .weighted_kl import AdaptiveKL, EntropyBalancedKL, ToDi

__all__ = [
    'AdaptiveKL',
    'AlphaBeta',
    'BalancedKL',
    'EntropyBalancedKL',
    'FixedDivergence',
    'ForwardKL',
    'JensenShannon',
    'ReverseKL',
    'SkewKL',
    'ToDi',
    'build_divergence',
]
