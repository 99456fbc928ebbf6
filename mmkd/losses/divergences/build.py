"""Building of divergences from configs."""

from torch import nn

from mmkd.losses.build_part import build_part
from mmkd.losses.distillation_loss import DistillationLoss


def build_divergence(divergence: dict | str | type | nn.Module) -> nn.Module:
    """Build a divergence from its config, name or class; return instances unchanged.

    Example:
        >>> build_divergence(dict(type='BalancedKL', reverse_weight=7.0))
        BalancedKL(forward_weight=1.0, reverse_weight=7.0, tau_reverse=None)
    """
    built = build_part('divergence', divergence, nn.Module, 'AlphaBeta')
    if isinstance(built, DistillationLoss):
        raise TypeError(
            f"divergence must be a divergence such as 'AlphaBeta', but "
            f"'{type(built).__name__}' is a loss"
        )
    return built
