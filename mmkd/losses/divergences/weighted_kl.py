"""Forward and reverse Kullback-Leibler (KL) divergence, weighted by the predictions."""

from mmkd.functional import (
    adaptive_kl_divergence,
    entropy_balanced_kl_divergence,
    todi_divergence,
)
from mmkd.functional.checks import check_weights
from mmkd.functional.weighted_kl import check_head
from mmkd.registry import MODELS

from .fixed_divergence import FixedDivergence


@MODELS.register_module()
class ToDi(FixedDivergence):
    """:func:`mmkd.functional.todi_divergence` as a module.

    Example:
        >>> import torch
        >>> logits = torch.zeros(1, 3)
        >>> ToDi()(logits, logits, tau=4.0)
        tensor([0.])
    """

    function = staticmethod(todi_divergence)


@MODELS.register_module()
class AdaptiveKL(FixedDivergence):
    """:func:`mmkd.functional.adaptive_kl_divergence` (AKL) with a fixed head.

    Args:
        mu: Cumulative probability of the classes of the head, 0 to 1. Default 0.5.

    Raises:
        ValueError: for a ``mu`` out of range.

    Example:
        >>> import torch
        >>> logits = torch.zeros(1, 3)
        >>> AdaptiveKL()(logits, logits, tau=4.0)
        tensor([0.])
    """

    function = staticmethod(adaptive_kl_divergence)
    names = ('mu',)

    def __init__(self, mu: float = 0.5) -> None:
        super().__init__()
        check_head(mu)
        self.mu = mu


@MODELS.register_module()
class EntropyBalancedKL(FixedDivergence):
    """:func:`mmkd.functional.entropy_balanced_kl_divergence` with a fixed weight.

    The balanced divergence of BD-KD.

    Args:
        weight: Weight of forward KL where the teacher's entropy is larger, and of
            reverse KL where the student's is; the other weight is 1. Default 3.

    Raises:
        ValueError: for a negative weight.

    Example:
        >>> import torch
        >>> logits = torch.zeros(1, 3)
        >>> EntropyBalancedKL()(logits, logits, tau=4.0)
        tensor([0.])
    """

    function = staticmethod(entropy_balanced_kl_divergence)
    names = ('weight',)

    def __init__(self, weight: float = 3.0) -> None:
        super().__init__()
        check_weights(weight=weight)
        self.weight = weight
