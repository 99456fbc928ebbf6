"""Divergences as registered modules, which a config can combine with any loss.

KL is the Kullback-Leibler divergence.
"""

from typing import Any

from torch import Tensor, nn

from mmkd.functional import balanced_kl_divergence
from mmkd.functional.checks import check_balance, check_temperatures
from mmkd.registry import MODELS, qualified


@MODELS.register_module()
class BalancedKL(nn.Module):
    """:func:`mmkd.functional.balanced_kl_divergence` with fixed weights.

    The divergence of balance divergence distillation (BDD). A loss calls it with its
    own temperature ``tau``, on standardized logits if the loss standardizes.

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

    @property
    def keywords(self) -> dict[str, Any]:
        """Keyword arguments of the function, named as in ``functools.partial``."""
        return {
            'forward_weight': self.forward_weight,
            'reverse_weight': self.reverse_weight,
            'tau_reverse': self.tau_reverse,
        }

    def forward(
        self, student: Tensor, teacher: Tensor, tau: float | Tensor = 1.0, dim: int = 1
    ) -> Tensor:
        """Return the divergence of every position, of the shape without ``dim``."""
        return balanced_kl_divergence(student, teacher, tau, dim=dim, **self.keywords)

    def extra_repr(self) -> str:
        """Format the arguments for ``print``."""
        return ', '.join(f'{name}={value}' for name, value in self.keywords.items())


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


def build_divergence(divergence: dict | str | type | nn.Module) -> nn.Module:
    """Build a divergence from its config, name or class; return instances unchanged.

    Example:
        >>> build_divergence(dict(type='BalancedKL', reverse_weight=7.0))
        BalancedKL(forward_weight=1.0, reverse_weight=7.0, tau_reverse=None)
    """
    if isinstance(divergence, nn.Module):
        return divergence
    if isinstance(divergence, type):
        return divergence()
    config = {'type': divergence} if isinstance(divergence, str) else dict(divergence)
    return MODELS.build(qualified(config))
