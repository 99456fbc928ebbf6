"""Reductions over valid positions."""

import torch
from torch import Tensor

# Logit of excluded entries. Next to logits up to 1e34 their softmax is 0 at any
# temperature; -inf would produce NaN.
EXCLUDED = -1e35


def zero_invalid(logits: Tensor, mask: Tensor | None) -> Tensor:
    """Set logits at invalid positions, and their gradients, to 0.

    Apply it before any computation: masking only the result would leave gradients of
    0 * inf = NaN for infinite logits.

    Args:
        logits: (N, C, ...).
        mask: Boolean (N, ...), valid positions. None: all.

    Example:
        >>> logits = torch.tensor([[1.0, 2.0], [torch.nan, torch.inf]])
        >>> zero_invalid(logits, torch.tensor([True, False]))
        tensor([[1., 2.],
                [0., 0.]])
    """
    return logits if mask is None else torch.where(mask.unsqueeze(1), logits, 0)


def masked_mean(
    values: Tensor, mask: Tensor | None = None, weight: Tensor | None = None
) -> Tensor:
    r"""Mean of ``weight * values`` over the valid positions.

    .. math:: \frac{1}{M} \sum_{m \in mask} w_m v_m

    with w the weight and v the value of each of the M valid positions. Unlike
    ``batchmean``, the result does not grow with the crop size. Boolean indexing, which
    would synchronize with the device, is avoided.

    Args:
        values: One value per position.
        mask: Boolean, valid positions. Default: all.
        weight: Factor of each position. Default: 1.

    Returns:
        A scalar; 0, with a graph, if no position is valid.

    Example:
        >>> mask = torch.tensor([True, True, False])
        >>> masked_mean(torch.tensor([1.0, 3.0, 8.0]), mask)
        tensor(2.)
    """
    if weight is not None:
        values = weight * values
    # Divide before summing: a sum of large values would overflow.
    if mask is None:
        return (values / values.numel()).sum()
    return (torch.where(mask, values, 0) / mask.sum().clamp(min=1)).sum()
