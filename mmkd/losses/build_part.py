"""Building of the parts of a loss from configs."""

from collections.abc import Mapping
from typing import TypeVar

from torch import nn

from mmkd.registry import MODELS, qualified

Part = TypeVar('Part', bound=nn.Module)


def build_part(key: str, part: object, kind: type[Part], example: str) -> Part:
    """Build a part from its config, name or class; return instances unchanged.

    Args:
        key: Its argument of the loss, for error messages.
        part: Config, name, class or instance.
        kind: Class of all such parts.
        example: Name of one, for error messages.

    Raises:
        KeyError: for an unknown name.
        TypeError: for anything else, or a part that is no ``kind``.

    Example:
        >>> build_part('divergence', 'ReverseKL', nn.Module, 'ForwardKL')
        ReverseKL(forward_weight=0.0, reverse_weight=1.0, tau_reverse=None)
    """
    if isinstance(part, kind):
        return part
    config = {'type': part} if isinstance(part, str | type) else part
    if not isinstance(config, Mapping) or not config.get('type'):
        raise TypeError(
            f"{key} must be a name such as '{example}', or a dict with a type such as "
            f"dict(type='{example}'), but is {part!r}"
        )
    built = MODELS.build(qualified(dict(config)))
    if not isinstance(built, kind):
        raise TypeError(
            f"{key} must be a {kind.__name__}, but '{type(built).__name__}' is none; "
            f"use dict(type='{example}')"
        )
    return built
