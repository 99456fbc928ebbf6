"""Building of divergences from configs."""

from torch import nn

from mmkd.losses.build_part import build_part


def build_divergence(divergence: dict | str | type | nn.Module) -> nn.Module:
    """Build a divergence from its config, name or class; return instances unchanged.

    Example:
        >>> build_divergence(dict(type='BalancedKL', reverse_weight=7.0))
        BalancedKL(forward_weight=1.0, reverse_weight=7.0, tau_reverse=None)
    """
    return build_part('divergence', divergence, nn.Module, 'AlphaBeta')
