"""Settings that a loss takes from the heads of both networks."""

from collections.abc import Callable
from typing import Any, Literal

from torch import Tensor, nn

from mmkd.engine.num_classes import segmentation_head
from mmkd.functional import bernoulli_logits, log_odds

from .taps import num_outputs

Activation = Literal['softmax', 'sigmoid']


def loss_settings(network: nn.Module, tap: str) -> dict[str, Any]:
    """Return arguments of a loss that the head of a tap knows.

    These are ``ignore_index``, ``align_corners`` and ``activation``; the first two of
    the head that predicts for a tap outside the heads.
    """
    head = _head_of(network, tap) or _last_head(network)
    found = {
        name: getattr(head, name, None) for name in ('ignore_index', 'align_corners')
    }
    found['activation'] = activation_of(network, tap)
    return {name: value for name, value in found.items() if value is not None}


def activation_of(network: nn.Module, tap: str) -> Activation | None:
    """Return the activation of a tap's logits; None if they are no logits.

    It is a sigmoid if all losses of the head have ``use_sigmoid``, or if the head
    predicts several labels per image. A single channel is a sigmoid in any case. Not in
    a head, a tap has logits if it has as many outputs as the head that predicts.
    """
    head = _head_of(network, tap)
    if head is None:
        head, outputs = _last_head(network), num_outputs(network, tap)
        if outputs is None or outputs != getattr(head, 'out_channels', None):
            return None
    if any(kind.__name__ == 'MultiLabelClsHead' for kind in type(head).__mro__):
        return 'sigmoid'
    sigmoids = [
        any(getattr(part, 'use_sigmoid', False) for part in loss.modules())
        for loss in _losses_of(head)
    ]
    return 'sigmoid' if sigmoids and all(sigmoids) else 'softmax'


def conversion(
    ours: Activation, theirs: Activation, channels: int, others: int
) -> Callable[[Tensor], Tensor] | None:
    """Return the exact conversion of the teacher's logits to the student's activation.

    Args:
        ours: Activation of the student's logits.
        theirs: Activation of the teacher's logits.
        channels: Number of the student's channels.
        others: Number of the teacher's channels.

    Returns:
        A function of the logits; None if there is no conversion, or none is needed.
    """
    if (ours, theirs) == ('sigmoid', 'softmax'):
        return log_odds_of_second if (channels, others) == (1, 2) else log_odds
    if (ours, theirs, channels, others) == ('softmax', 'sigmoid', 2, 1):
        return bernoulli_logits
    return None


def log_odds_of_second(logits: Tensor) -> Tensor:
    """Return the one-channel logits of the second of two classes."""
    return log_odds(logits)[:, 1:]


def _head_of(network: nn.Module, tap: str) -> nn.Module | None:
    """Return the head that contains a tap; None outside the heads."""
    modules = dict(network.named_modules())
    parts = tap.split('.')
    ancestors = (modules.get('.'.join(parts[:end])) for end in range(len(parts), 0, -1))
    return next((head for head in ancestors if _losses_of(head)), None)


def _losses_of(head: nn.Module | None) -> list[nn.Module]:
    """Return the losses of a head of mmseg or mmpretrain."""
    found = getattr(head, 'loss_decode', None) or getattr(head, 'loss_module', None)
    losses = found if isinstance(found, nn.ModuleList) else [found]
    return [loss for loss in losses if isinstance(loss, nn.Module)]


def _last_head(network: nn.Module) -> nn.Module | None:
    """Return the head that predicts, of a segmentor or classifier."""
    head = segmentation_head(network)
    return getattr(network, 'head', None) if head is None else head
