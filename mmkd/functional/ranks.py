"""Rank correlation of class scores."""

import torch
from torch import Tensor

from .standardize import zscore


def average_ranks(values: Tensor) -> Tensor:
    """Ranks along the last axis, starting from 1; ties get their mean rank.

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
    r"""Spearman rank correlation along the last axis, with average ranks for ties.

    .. math:: \rho = \frac{1}{C - 1} \sum_c z(R(s))_c \, z(R(t))_c

    with R the ranks of the logits s and t of C classes, and z the Z-score: the Pearson
    correlation of the ranks. It is 1 if both networks rank the classes identically,
    independent of the scale of their logits, and -1 for opposite rankings.

    Args:
        student: Logits (..., C), C >= 2.
        teacher: Logits of the same shape.

    Returns:
        (...) in float64; 0 where student or teacher is constant.

    Example:
        >>> rank_correlation(torch.tensor([0.1, 0.4, 0.3]), torch.tensor([1.0, 9, 5]))
        tensor(1., dtype=torch.float64)
    """
    ours, theirs = (zscore(average_ranks(x), -1, eps=0) for x in (student, teacher))
    return (ours * theirs).sum(-1) / (student.shape[-1] - 1)
