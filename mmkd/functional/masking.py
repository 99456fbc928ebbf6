"""Reductions over valid positions."""

import torch
from torch import Tensor

# Logit of excluded entries: their softmax is 0 at any temperature. -inf would give NaN.
EXCLUDED = -1e30


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
    if mask is None:
        return values.mean()
    return torch.where(mask, values, 0).sum() / mask.sum().clamp(min=1)
