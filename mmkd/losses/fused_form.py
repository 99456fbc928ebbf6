"""How KDLoss tells the fused path what it is, where that applies."""

from torch import Tensor, nn

from mmkd import ops
from mmkd.losses.divergences import BalancedKL


def obstacle(loss: nn.Module, logits: Tensor) -> str | None:
    """Why the fused path does not apply to a loss, if it does not."""
    if logits.ndim != 4:
        return 'the logits are vectors'
    kind = type(loss.divergence)
    if getattr(kind, 'forward', None) is not BalancedKL.forward:
        return f'the divergence is a {kind.__name__}'
    if isinstance(loss.tau, Tensor) or isinstance(loss.tau_teacher, Tensor):
        return 'the temperature is a tensor'
    return None


def form_of(loss: nn.Module) -> ops.Form:
    """The loss as the fused path wants it."""
    kl = loss.divergence
    return ops.Form(
        tau=loss.tau,
        ratio=loss.tau_teacher / loss.tau,
        tau_reverse=loss.tau if kl.tau_reverse is None else kl.tau_reverse,
        forward_weight=kl.forward_weight,
        reverse_weight=kl.reverse_weight,
        standardize=loss.standardize,
        effective_tau=loss.effective_tau,
    )
