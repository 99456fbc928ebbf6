"""Z-score standardisation of logits (LSKD)."""

import torch
from torch import Tensor

from .checks import at_least_float32, check_classes


def standardize(logits: Tensor, dim: int = 1, eps: float = 1e-7) -> Tensor:
    r"""Standardises logits along the softmax axis.

    .. math:: z(x) = (x - \bar x) / (\sigma(x) + \epsilon)

    with the sample standard deviation (ddof = 1): the LSKD paper's algorithm writes
    :math:`1/C`, but its published figures and its code use :math:`1/(C - 1)`. The
    result has mean 0, standard deviation 1, the order of the input and
    :math:`|z| \le (C - 1) / \sqrt C`.

    A constant vector has no order to keep: it becomes 0, with a zero gradient instead
    of one of :math:`1/\epsilon`.

    Args:
        logits: Scores of any shape with ``C >= 3`` entries along ``dim``.
        dim: The softmax axis. Default 1, the class axis of (N, C) and (N, C, H, W).
        eps: Added to the standard deviation. Default 1e-7, as published.

    Returns:
        A tensor of the same shape in float32 or better.

    Raises:
        ValueError: if ``dim`` has fewer than 3 entries. With two, z is always
            +-1/sqrt(2), whatever the logits: nothing could be learnt.

    Reference:
        Sun et al., Logit Standardization in Knowledge Distillation, CVPR 2024,
        sections 4.2 and 4.3.

    Example:
        >>> standardize(torch.tensor([[1.0, 4.0, 3.0, 2.0]]))
        tensor([[-1.1619,  1.1619,  0.3873, -0.3873]])
    """
    check_classes(logits, dim)
    return zscore(logits, dim, eps)


def zscore(
    logits: Tensor, dim: int, eps: float = 1e-7, counted: Tensor | None = None
) -> Tensor:
    """:func:`standardize` for any number of entries, over the ``counted`` ones alone.

    Args:
        logits: Scores.
        dim: The axis of mean and standard deviation.
        eps: Added to the standard deviation.
        counted: Boolean mask that broadcasts to ``logits``. Default: all count.

    Returns:
        The standardised scores, 0 where an entry does not count.
    """
    logits = at_least_float32(logits)
    # Any common shift gives the same z. Taking off one counted entry first makes
    # constant vectors exactly 0, where a mean would leave rounding to be blown up.
    if counted is None:
        number = max(logits.shape[dim], 2)
        shift = logits.narrow(dim, 0, 1)
    else:
        counted = counted.expand_as(logits)
        number = counted.sum(dim, keepdim=True).clamp(min=2)  # one entry: 0 / 1
        shift = logits.gather(dim, counted.int().argmax(dim, keepdim=True))

    def keep(values: Tensor) -> Tensor:
        return values if counted is None else torch.where(counted, values, 0)

    logits = keep(logits - shift.detach())
    centred = keep(logits - logits.sum(dim, keepdim=True) / number)
    variance = centred.square().sum(dim, keepdim=True) / (number - 1)
    # sqrt has an infinite slope at 0: keep constant vectors away from it.
    constant = variance == 0
    std = torch.where(constant, 1, variance).sqrt()
    return torch.where(constant, 0, centred / (std + eps))
