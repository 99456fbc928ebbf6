"""Relations between the rows of matrices."""

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d


def gram_distance(a: Tensor, b: Tensor, mask: Tensor | None = None) -> Tensor:
    r"""Squared distance between two Gram matrices, divided by their number of rows R.

    .. math:: \frac{1}{R} \| A A^T - B B^T \|^2

    Args:
        a: A, (G, R, K), one matrix for each of G groups.
        b: B, matrices of the same shape from the other network.
        mask: Boolean (R,) or (G, R), valid rows. Default: all.

    Returns:
        (G,); 0 for groups without a valid row.

    Example:
        >>> gram_distance(torch.eye(2)[None], torch.zeros(1, 2, 2))
        tensor([1.])
    """
    rows: int | Tensor = a.shape[1]
    if mask is not None:
        mask = mask.expand(a.shape[:2])
        a, b = (torch.where(mask[..., None], x, 0) for x in (a, b))
        rows = mask.sum(1).clamp(min=1)
    with torch.autocast(a.device.type, enabled=False):
        return (a @ a.mT - b @ b.mT).square().sum((1, 2)) / rows


def grid_means(values: Tensor, mask: Tensor | None, side: int) -> tuple[Tensor, Tensor]:
    """Mean of the valid pixels in each cell of a grid.

    Args:
        values: (N, C, H, W).
        mask: Boolean (N, H, W), valid pixels. None: all.
        side: Largest number of cells along a side; a smaller map has one cell per
            pixel.

    Returns:
        The means (N, cells, C), 0 for cells without a valid pixel, and a boolean
        (N, cells), True for cells with a valid pixel.

    Example:
        >>> means, _ = grid_means(torch.ones(1, 3, 32, 16), None, side=8)
        >>> means.shape
        torch.Size([1, 64, 3])
    """
    if mask is None:
        mask = values.new_ones(1, dtype=torch.bool).expand_as(values[:, 0])
    mask = mask[:, None]
    height, width = values.shape[2:]
    grid = min(side, height), min(side, width)
    averages = adaptive_avg_pool2d(torch.where(mask, values, 0), grid)
    valid_share = adaptive_avg_pool2d(mask.to(values.dtype), grid)
    means = averages / torch.where(valid_share > 0, valid_share, 1)
    return means.flatten(2).mT, (valid_share > 0).flatten(1)
