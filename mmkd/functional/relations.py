"""Relations between the rows of matrices, for losses that compare these."""

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d


def gram_distance(a: Tensor, b: Tensor, kept: Tensor | None = None) -> Tensor:
    r"""Squared distance of two Gram matrices, over the number of their rows.

    .. math:: \frac{1}{R} \| A A^T - B B^T \|^2

    Args:
        a: (G, R, K), a matrix for each of G groups.
        b: The same of the other network.
        kept: Boolean (R,) or (G, R), the rows that count. Default: all.

    Returns:
        (G,); 0 of a group without a row.

    Example:
        >>> gram_distance(torch.eye(2)[None], torch.zeros(1, 2, 2))
        tensor([1.])
    """
    if kept is None:
        rows = a.shape[1]
    else:
        kept = kept.expand(a.shape[:2])
        a, b = (torch.where(kept[..., None], x, 0) for x in (a, b))
        rows = kept.sum(1).clamp(min=1)
    return (a @ a.mT - b @ b.mT).square().sum((1, 2)) / rows


def grid_means(
    values: Tensor, counted: Tensor | None, side: int
) -> tuple[Tensor, Tensor]:
    """The mean of a map's counted pixels in each cell of a grid.

    Args:
        values: (N, C, H, W).
        counted: Boolean (N, H, W), or None where all count.
        side: Cells along a side, at most: a map of fewer pixels has as many cells.

    Returns:
        (N, cells, C), 0 where a cell has no counted pixel, and (N, cells): whether it
        has one.

    Example:
        >>> means, _ = grid_means(torch.ones(1, 3, 32, 16), None, side=8)
        >>> means.shape
        torch.Size([1, 64, 3])
    """
    if counted is None:
        counted = values.new_ones(1, dtype=torch.bool).expand_as(values[:, 0])
    grid = [min(side, length) for length in values.shape[2:]]
    counted = counted[:, None]
    values = adaptive_avg_pool2d(torch.where(counted, values, 0), grid)
    share = adaptive_avg_pool2d(counted.to(values.dtype), grid)
    means = values / torch.where(share > 0, share, 1)
    return means.flatten(2).mT, (share > 0).flatten(1)
