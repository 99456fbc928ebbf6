"""What positions weigh so that classes weigh the same."""

import torch
from torch import Tensor

from .checks import at_least_float32


def class_balance(logits: Tensor, counted: Tensor | None = None) -> Tensor:
    r"""Weights of the positions under which every class weighs the same in sum.

    With p = softmax(t) and the mass :math:`M_c = \sum_m p_{mc}` of a class over the M
    counted positions,

    .. math:: w_m = \frac{M}{C} \sum_c \frac{p_{mc}}{M_c}

    whose mean over the counted positions is 1. A mean over pixels is a vote in which a
    road has a thousand times the votes of a pole; mIoU gives each class one.

    Args:
        logits: (N, C) or (N, C, H, W): whose p says what a position belongs to.
        counted: Boolean (N,) or (N, H, W). Default: every position counts.

    Returns:
        (N,) or (N, H, W) in float32 or better, 0 where a position does not count.

    Example:
        >>> logits = torch.tensor([[9.0, 0.0]] * 3 + [[0.0, 9.0]])
        >>> class_balance(logits).round(decimals=1)
        tensor([0.7000, 0.7000, 0.7000, 2.0000])
    """
    p = at_least_float32(logits).softmax(1)
    if counted is not None:
        p = torch.where(counted.unsqueeze(1), p, 0)
    others = [dim for dim in range(p.ndim) if dim != 1]
    mass = p.sum(others, keepdim=True)
    there = mass > 0  # softmax underflows
    weights = torch.where(there, p / torch.where(there, mass, 1), 0).sum(1)
    return weights * (p.sum() / there.sum().clamp(min=1))
