"""Divergences as objects, so that a config line chooses one for any loss."""

from torch import Tensor, nn

from mmkd.functional import balanced_kl_divergence
from mmkd.functional.checks import check_temperature, check_weights
from mmkd.registry import MODELS, qualified


@MODELS.register_module()
class BalancedKL(nn.Module):
    r"""Weighted sum of forward and reverse KL, each with its own tau^2.

    .. math:: a \tau^2 KL(p \| q) + b \tau_r^2 KL(q_r \| p_r)

    See :func:`mmkd.functional.balanced_kl_divergence`. A loss calls it with its own
    ``tau``; on a standardised loss it sees standardised logits.

    Args:
        forward_weight: a, >= 0. Default 1.
        reverse_weight: b, >= 0. Default 1.
        tau_reverse: Temperature of the reverse half, > 0. Default: the loss's tau.

    Raises:
        ValueError: for a negative weight, two zero weights or ``tau_reverse <= 0``.

    Reference:
        Qi et al., Balance Divergence for Knowledge Distillation, arXiv 2501.07804.

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
        check_weights(forward_weight, reverse_weight)
        if tau_reverse is not None:
            check_temperature(tau_reverse, 'tau_reverse')
        self.forward_weight = forward_weight
        self.reverse_weight = reverse_weight
        self.tau_reverse = tau_reverse

    def forward(
        self, student: Tensor, teacher: Tensor, tau: float | Tensor = 1.0, dim: int = 1
    ) -> Tensor:
        """Returns the divergence of every position (the shape without ``dim``)."""
        return balanced_kl_divergence(
            student,
            teacher,
            tau,
            self.tau_reverse,
            self.forward_weight,
            self.reverse_weight,
            dim,
        )

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        return (
            f'forward_weight={self.forward_weight}, '
            f'reverse_weight={self.reverse_weight}, tau_reverse={self.tau_reverse}'
        )


@MODELS.register_module()
class ForwardKL(BalancedKL):
    """KL(teacher || student), the divergence of plain knowledge distillation."""

    def __init__(self) -> None:
        super().__init__(forward_weight=1.0, reverse_weight=0.0)


@MODELS.register_module()
class ReverseKL(BalancedKL):
    """KL(student || teacher), which seeks the teacher's modes."""

    def __init__(self) -> None:
        super().__init__(forward_weight=0.0, reverse_weight=1.0)


def build_divergence(divergence: dict | str | type | nn.Module) -> nn.Module:
    """Builds a divergence from its config, name or class; an instance is returned.

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


def halves(divergence: nn.Module, tau: float) -> list[tuple[nn.Module, float]]:
    """A divergence as parts of one temperature each, whose sum it is.

    For a loss that makes its logits for a temperature, as DKD does.

    Example:
        >>> [tau for _, tau in halves(BalancedKL(tau_reverse=2.0), tau=4.0)]
        [4.0, 2.0]
    """
    tau_reverse = getattr(divergence, 'tau_reverse', None)
    if tau_reverse is None:
        return [(divergence, tau)]
    weights = (divergence.forward_weight, 0.0), (0.0, divergence.reverse_weight)
    pairs = zip(weights, (tau, tau_reverse), strict=True)
    return [(BalancedKL(*weights), tau) for weights, tau in pairs if any(weights)]
