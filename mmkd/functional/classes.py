"""Subsets and unions of classes."""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from .checks import at_least_float32
from .masking import EXCLUDED

Group = tuple[int, ...]


def select_classes(logits: Tensor, classes: Sequence[int]) -> Tensor:
    """Return the logits (N, K, ...) of some classes.

    Their softmax is the distribution over these classes, and no gradient reaches the
    others.

    Example:
        >>> select_classes(torch.tensor([[1.0, 2.0, 3.0]]), (2, 0))
        tensor([[3., 1.]])
    """
    return logits.index_select(1, _index(tuple(classes), logits.device))


def merge_classes(logits: Tensor, groups: Sequence[Group]) -> Tensor:
    r"""Return the logits (N, K, ...) of unions of classes.

    .. math:: t_k = \log \sum_{i \in G_k} e^{t_i}

    so that the probability of group :math:`G_k` is the sum of those of its classes,
    divided by the sum over all groups.

    Args:
        logits: (N, C, ...), cast to float32 or better.
        groups: Classes of each group, none of them empty.

    Example:
        >>> logits = torch.tensor([[0.1, 0.2, 0.3, 0.4]]).log()
        >>> merge_classes(logits, [(3,), (0, 1)]).softmax(1)
        tensor([[0.5714, 0.4286]])
    """
    logits = at_least_float32(logits)
    merged = select_classes(logits, [group[0] for group in groups])
    for index, group in enumerate(groups):
        if len(group) > 1:
            merged[:, index] = select_classes(logits, group).logsumexp(1)
    return merged


def spread_classes(logits: Tensor, classes: Sequence[int], total: int) -> Tensor:
    """Return logits (N, total, ...) that are :data:`EXCLUDED` except for some classes.

    Args:
        logits: (N, K, ...), in float32 or better.
        classes: K indices.
        total: Number of classes.
    """
    spread = logits.new_full((len(logits), total, *logits.shape[2:]), EXCLUDED)
    spread[:, _index(tuple(classes), logits.device)] = logits
    return spread


def renumber(
    target: Tensor, classes: Sequence[int], total: int, ignore_index: int
) -> Tensor:
    """Return labels numbered among some classes; other classes are ignored.

    Args:
        target: Labels of any shape; those that are no class are unchanged.
        classes: Classes that become 0, 1, ...
        total: Number of classes.
        ignore_index: New label of the other classes.

    Example:
        >>> renumber(torch.tensor([0, 1, 2, 255]), (0, 2), total=3, ignore_index=-1)
        tensor([  0,  -1,   1, 255])
    """
    target = target.long()
    table = torch.full((total,), ignore_index, device=target.device)
    index = _index(tuple(classes), target.device)
    table[index] = torch.arange(len(index), device=target.device)
    is_class = (target >= 0) & (target < total)
    return torch.where(is_class, table[target.clamp(0, total - 1)], target)


def included_classes(logits: Tensor) -> list[int]:
    """Return the classes that :func:`spread_classes` did not exclude.

    Reads values, and is therefore for measurements only.

    Example:
        >>> included_classes(spread_classes(torch.zeros(1, 2), (0, 2), total=4))
        [0, 2]
    """
    excluded = (logits.transpose(0, 1).flatten(1) <= EXCLUDED / 2).all(1)
    return (~excluded).nonzero().flatten().tolist()


@lru_cache(maxsize=512)
def _index(classes: Group, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # so that autograd may save it
        return torch.tensor(classes, dtype=torch.long, device=device)
