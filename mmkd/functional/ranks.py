"""Rank correlation of class scores."""

import torch
from torch import Tensor

from .standardize import zscore


def average_ranks(values: Tensor) -> Tensor:
    """Ranks from 1 along the last axis; ties get the mean of their ranks.

    Args:
        values: (..., C).

    Returns:
        (..., C) in float64.

    Example:
        >>> average_ranks(torch.tensor([3.0, 1.0, 3.0, 2.0])).tolist()
        [3.5, 1.0, 3.5, 2.0]
    """
    values = values.contiguous()
    ordered = values.sort(-1).values
    below = torch.searchsorted(ordered, values)
    not_above = torch.searchsorted(ordered, values, right=True)
    return (below + not_above + 1).double() / 2


def rank_correlation(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Spearman's rank correlation along the last axis, with average ranks for ties.

    .. math:: \rho = \frac{1}{C - 1} \sum_c z(R(s))_c \, z(R(t))_c

    Pearson's correlation of the ranks R: 1 if two networks order the classes
    alike, however they scale the logits, -1 for opposite orders.

    Args:
        student: Logits (..., C), C >= 2.
        teacher: Logits of the same shape.

    Returns:
        (...) in float64; 0 where either is constant and so has no order.

    Example:
        >>> rank_correlation(torch.tensor([0.1, 0.4, 0.3]), torch.tensor([1.0, 9, 5]))
        tensor(1., dtype=torch.float64)
    """
    ours, theirs = (zscore(average_ranks(x), -1, eps=0) for x in (student, teacher))
    return (ours * theirs).sum(-1) / (student.shape[-1] - 1)
