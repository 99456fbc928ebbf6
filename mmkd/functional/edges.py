"""Edges between the classes of a label map."""

import torch
from torch import Tensor
from torch.nn.functional import pad


def label_edges(target: Tensor, width: int = 4, ignore_index: int = 255) -> Tensor:
    r"""Mark the pixels of a label map that are close to a pixel of another class.

    .. math:: e_m = \Big[ \max_{n \in W_m} y_n > \min_{n \in W_m} y_n \Big]

    with :math:`W_m` the labeled pixels of the square of side 2 ``width`` + 1 around
    pixel m: the dilation minus the erosion of each class by this square, united over
    the classes. The border of the image is no edge.

    Args:
        target: Labels y, (N, H, W).
        width: Pixels on each side of a boundary that are marked, >= 1. Default 4: on a
            map of an eighth of the resolution, a cell is then an edge if it contains a
            pixel of another class than its center.
        ignore_index: Label of ignored pixels, which make no edge and are none. Default
            255.

    Returns:
        Boolean (N, H, W); the other labeled pixels are the body.

    Raises:
        ValueError: for ``width < 1``, or a target that is not a label map.

    Reference:
        Liu et al., BPKD: Boundary Privileged Knowledge Distillation For Semantic
        Segmentation, WACV 2024.

    Example:
        >>> label_edges(torch.tensor([[[0, 0, 0, 1, 1, 255, 2]]]), width=1).int()
        tensor([[[0, 0, 1, 1, 0, 0, 0]]], dtype=torch.int32)
    """
    check_edge_width(width)
    if target.ndim != 3:
        raise ValueError(f'the target must be (N, H, W), but is {tuple(target.shape)}')
    label = target.float()
    ignored = label == ignore_index
    highest, opposite = (
        _largest_around(x.masked_fill(ignored, -torch.inf), width)
        for x in (label, -label)
    )
    return (highest > -opposite) & ~ignored


def check_edge_width(width: int) -> None:
    """Raise an error unless the width of an edge is a positive integer."""
    if not isinstance(width, int):
        raise TypeError(f'edge_width must be an integer, but is {width!r}')
    if width < 1:
        raise ValueError(f'edge_width must be at least 1 pixel, but is {width}')


def _largest_around(values: Tensor, width: int) -> Tensor:
    """Return the largest value of the square around each pixel of (N, H, W)."""
    values, side = pad(values, (width,) * 4, value=-torch.inf), 2 * width + 1
    for dim in (1, 2):
        length = 1  # of the windows that values has the maxima of
        while length < side:
            step = min(length, side - length)
            count = values.shape[dim] - step
            values = torch.maximum(
                values.narrow(dim, 0, count), values.narrow(dim, step, count)
            )
            length += step
    return values
