"""Reductions over valid positions."""

import torch
from torch import Tensor

# Logit of excluded entries: their softmax is 0 at any temperature, beside logits up to
# 1e34. -inf would give NaN.
EXCLUDED = -1e35


def zero_invalid(logits: Tensor, mask: Tensor | None) -> Tensor:
    """Set logits at invalid positions to 0, whatever they are, and their gradient.

    Done before anything is computed of them: a mask on the result alone would leave a
    gradient of 0 * inf.

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

    Does not grow with the crop, as ``batchmean`` does, and does not index with the
    mask, which would synchronize with the device.

    Args:
        values: One per position.
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
    # Divided before they are added: a sum of large values would overflow.
    if mask is None:
        return (values / values.numel()).sum()
    return (torch.where(mask, values, 0) / mask.sum().clamp(min=1)).sum()
