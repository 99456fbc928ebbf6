"""Kullback-Leibler (KL) divergences from a mixture of teacher and student."""

from mmkd.functional import jensen_shannon_divergence, skew_kl_divergence
from mmkd.functional.mixture_kl import check_mixture, check_skew
from mmkd.registry import MODELS

from .fixed_divergence import FixedDivergence


@MODELS.register_module()
class JensenShannon(FixedDivergence):
    """:func:`mmkd.functional.jensen_shannon_divergence` with a fixed mixture.

    Args:
        lam: Share of the student in the mixture, > 0 and < 1. Default 0.5.

    Raises:
        ValueError: for a ``lam`` out of range.

    Example:
        >>> import torch
        >>> logits = torch.zeros(1, 3)
        >>> JensenShannon()(logits, logits, tau=4.0)
        tensor([0.])
    """

    function = staticmethod(jensen_shannon_divergence)
    names = ('lam',)

    def __init__(self, lam: float = 0.5) -> None:
        super().__init__()
        check_mixture(lam)
        self.lam = lam


@MODELS.register_module()
class SkewKL(FixedDivergence):
    """:func:`mmkd.functional.skew_kl_divergence` with a fixed mixture.

    The divergence of DistiLLM.

    Args:
        lam: Share of the first distribution in the mixture, >= 0 and < 1. Default 0.1.
        reverse: Start from the student's distribution. Default False.

    Raises:
        ValueError: for a ``lam`` out of range.

    Example:
        >>> import torch
        >>> logits = torch.zeros(1, 3)
        >>> SkewKL(reverse=True)(logits, logits, tau=4.0)
        tensor([0.])
    """

    function = staticmethod(skew_kl_divergence)
    names = ('lam', 'reverse')

    def __init__(self, lam: float = 0.1, reverse: bool = False) -> None:
        super().__init__()
        check_skew(lam)
        self.lam = lam
        self.reverse = reverse
