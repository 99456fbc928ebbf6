"""Adaptive average pooling that can be exported for any size."""

from torch import Tensor, arange, div, nn


class MatrixAvgPool2d(nn.Module):
    """``nn.AdaptiveAvgPool2d`` as two matrix products with averaging matrices.

    Bin i of s bins over n positions covers floor(i n / s) to ceil((i + 1) n / s), as in
    PyTorch. The matrices are computed from the size of the map, with operations that
    ONNX supports for dynamic sizes.

    Args:
        output_size: Number of bins along height and width, or one number for both. None
            in a pair keeps the size of the map.

    Example:
        >>> MatrixAvgPool2d(2)(arange(9.0).view(1, 1, 3, 3))
        tensor([[[[2., 3.],
                  [5., 6.]]]])
    """

    def __init__(self, output_size: int | tuple[int | None, int | None] | None) -> None:
        super().__init__()
        if not isinstance(output_size, tuple):
            output_size = output_size, output_size
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        """Pool maps (..., H, W)."""
        rows, columns = (
            averages(positions, bins or positions, x)
            for positions, bins in zip(x.shape[-2:], self.output_size, strict=True)
        )
        return rows @ x @ columns.T


def averages(positions: int, bins: int, like: Tensor) -> Tensor:
    """Return a (bins, positions) averaging matrix, of the dtype and device of ``like``.

    Example:
        >>> averages(3, 2, arange(1.0))
        tensor([[0.5000, 0.5000, 0.0000],
                [0.0000, 0.5000, 0.5000]])
    """
    index = arange(bins, device=like.device)[:, None]
    position = arange(positions, device=like.device)
    # For non-negative numbers 'trunc' equals 'floor' and gives a smaller ONNX graph.
    start = div(index * positions, bins, rounding_mode='trunc')
    end = div((index + 1) * positions + bins - 1, bins, rounding_mode='trunc')
    inside = (start <= position) & (position < end)
    return inside.to(like.dtype) / (end - start).to(like.dtype)


def replace_pooling(network: nn.Module) -> None:
    """Replace every ``nn.AdaptiveAvgPool2d`` by a :class:`MatrixAvgPool2d`."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is nn.AdaptiveAvgPool2d:
                setattr(module, name, MatrixAvgPool2d(child.output_size))
