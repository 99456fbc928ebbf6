"""Class-balanced weights of samples or pixels."""

import torch
from torch import Tensor

from .checks import at_least_float32
from .masking import zero_invalid


def class_balance(logits: Tensor, mask: Tensor | None = None) -> Tensor:
    r"""Class-balanced weights: every class has the same total weight.

    With p = softmax(t) of the logits t and the total probability
    :math:`M_c = \sum_m p_{mc}` of class c over the M valid positions, the weight of
    position m is

    .. math:: w_m = \frac{M}{C} \sum_c \frac{p_{mc}}{M_c}

    The mean weight over the valid positions is 1. In a plain mean over the pixels of a
    street scene, road has about a thousand times the weight of pole; in mIoU both have
    equal weight.

    Args:
        logits: (N, C) or (N, C, H, W), usually the teacher's.
        mask: Boolean (N,) or (N, H, W), valid positions. Default: all.

    Returns:
        (N,) or (N, H, W) in float32 or better, 0 at invalid positions.

    Example:
        >>> logits = torch.tensor([[9.0, 0.0]] * 3 + [[0.0, 9.0]])
        >>> class_balance(logits).round(decimals=1)
        tensor([0.7000, 0.7000, 0.7000, 2.0000])
    """
    p = zero_invalid(zero_invalid(at_least_float32(logits), mask).softmax(1), mask)
    mass = p.sum([dim for dim in range(p.ndim) if dim != 1], keepdim=True)
    present = mass > 0  # softmax may underflow to 0
    weights = torch.where(present, p / torch.where(present, mass, 1), 0).sum(1)
    return weights * (p.sum() / present.sum().clamp(min=1))
