"""Forward and reverse Kullback-Leibler (KL) divergence with fixed weights."""

from mmkd.functional import balanced_kl_divergence
from mmkd.functional.checks import check_balance, check_temperatures
from mmkd.registry import MODELS

from .fixed_divergence import FixedDivergence


@MODELS.register_module()
class BalancedKL(FixedDivergence):
    """:func:`mmkd.functional.balanced_kl_divergence` with fixed weights.

    The divergence of balance divergence distillation (BDD).

    Args:
        forward_weight: Weight of KL(teacher || student), >= 0. Default 1.
        reverse_weight: Weight of KL(student || teacher), >= 0. Default 1.
        tau_reverse: Temperature of the reverse term, > 0. Default: ``tau``.

    Raises:
        ValueError: for a negative weight, two zero weights or ``tau_reverse <= 0``.

    Example:
        >>> import torch
        >>> logits = torch.zeros(1, 3)
        >>> BalancedKL(reverse_weight=7.0)(logits, logits, tau=4.0)
        tensor([0.])
    """

    function = staticmethod(balanced_kl_divergence)
    names = ('forward_weight', 'reverse_weight', 'tau_reverse')

    def __init__(
        self,
        forward_weight: float = 1.0,
        reverse_weight: float = 1.0,
        tau_reverse: float | None = None,
    ) -> None:
        super().__init__()
        check_balance(forward_weight, reverse_weight)
        check_temperatures(tau_reverse=tau_reverse)
        self.forward_weight = forward_weight
        self.reverse_weight = reverse_weight
        self.tau_reverse = tau_reverse


@MODELS.register_module()
class ForwardKL(BalancedKL):
    """KL(teacher || student), the divergence of plain knowledge distillation."""

    def __init__(self) -> None:
        super().__init__(forward_weight=1.0, reverse_weight=0.0)


@MODELS.register_module()
class ReverseKL(BalancedKL):
    """KL(student || teacher), which is mode-seeking."""

    def __init__(self) -> None:
        super().__init__(forward_weight=0.0, reverse_weight=1.0)
