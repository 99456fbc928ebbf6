"""Building of divergences from configs."""

from torch import nn

from mmkd.registry import MODELS, qualified


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
