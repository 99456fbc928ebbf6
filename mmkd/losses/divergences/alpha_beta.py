"""Alpha-beta divergence with fixed exponents."""

from mmkd.functional import alpha_beta_divergence
from mmkd.functional.alpha_beta import check_exponents
from mmkd.registry import MODELS

from .fixed_divergence import FixedDivergence


@MODELS.register_module()
class AlphaBeta(FixedDivergence):
    """:func:`mmkd.functional.alpha_beta_divergence` with fixed exponents.

    The divergence of ABKD; (1, 0) is forward Kullback-Leibler (KL) divergence, (0, 1)
    reverse KL.

    Args:
        alpha: Exponent of the teacher's probabilities, finite. Default 0.8, ABKD's on
            CIFAR-100; 0.9 on standardized logits.
        beta: Exponent of the student's probabilities, finite. Default 0.3.

    Raises:
        ValueError: for an infinite exponent or NaN.

    Example:
        >>> import torch
        >>> logits = torch.zeros(1, 3)
        >>> AlphaBeta(alpha=0.9, beta=0.3)(logits, logits, tau=4.0)
        tensor([0.])
    """

    function = staticmethod(alpha_beta_divergence)
    names = ('alpha', 'beta')

    def __init__(self, alpha: float = 0.8, beta: float = 0.3) -> None:
        super().__init__()
        check_exponents(alpha, beta)
        self.alpha = alpha
        self.beta = beta
