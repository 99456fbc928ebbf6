"""Relations between feature vectors."""

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d


def cosine(a: Tensor, b: Tensor, dims: tuple[int, ...] | None = None) -> Tensor:
    """Cosine of the angles between the vectors of two tensors of the same shape.

    Args:
        a, b: Tensors of any shape.
        dims: Axes that each vector spans. Default: all but the first.

    Returns:
        A tensor without these axes. A zero vector has cosine 0 and gets no gradient,
        instead of one of 1/epsilon as with ``torch.nn.functional.cosine_similarity``.

    Example:
        >>> cosine(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.ones(2, 2))
        tensor([0.9899, 0.0000])
    """
    axes = tuple(range(1, a.ndim)) if dims is None else dims
    norms = [torch.linalg.vector_norm(x, dim=axes) for x in (a, b)]
    product = norms[0] * norms[1]
    zero = product == 0
    return ((a * b).sum(axes) / product.masked_fill(zero, 1)).masked_fill(zero, 0)


def unit_vectors(vectors: Tensor, dim: int = 1) -> Tensor:
    """Divide vectors by their Euclidean norm; a zero vector gets no gradient.

    Args:
        vectors: Tensor of any shape.
        dim: Axis of the vectors. Default 1.

    Example:
        >>> unit_vectors(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[0.6000, 0.8000],
                [0.0000, 0.0000]])
    """
    norm = torch.linalg.vector_norm(vectors, dim=dim, keepdim=True)
    return (vectors / norm.masked_fill(norm == 0, 1)).masked_fill(norm == 0, 0)


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
