"""Bilinear resizing of a few rows at a time, and its adjoint."""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import interpolate


class Upsampling:
    """A batch of maps whose resized rows are made when asked for.

    Columns are resized at once, which gives maps of the original height; a strip of
    rows is then a few weighted sums of theirs. Rows ``first`` to ``last`` of the result
    are those of ``interpolate(maps, size, mode='bilinear')``.

    Args:
        maps: (N, C, h, w).
        size: Height and width of the result.
        align_corners: As of ``interpolate``.
    """

    def __init__(
        self, maps: Tensor, size: tuple[int, int], align_corners: bool
    ) -> None:
        self.maps = maps
        self.align_corners = align_corners
        (height, width), (rows, columns) = maps.shape[2:], size
        self.wide_shape = (*maps.shape[:2], height, columns)
        self.wide = maps if width == columns else self._widen(maps)
        self.weights = None
        if height != rows:
            self.weights, self.range = _weights(height, rows, align_corners)
            self.weights = self.weights.to(maps)
        self.gradient_wide: Tensor | None = None

    def rows(self, first: int, last: int) -> Tensor:
        """A new tensor of these rows, (N, C, last - first, W)."""
        if self.weights is None:
            return self.wide[:, :, first:last].clone()
        low, high = self._sources(first, last)
        return self.weights[first:last, low:high] @ self.wide[:, :, low:high]

    def add_gradient(self, gradient: Tensor, first: int, last: int) -> None:
        """Takes in the gradient of these rows."""
        if self.gradient_wide is None:
            self.gradient_wide = self.wide.new_zeros(self.wide_shape)
        if self.weights is None:
            self.gradient_wide[:, :, first:last] = gradient
            return
        low, high = self._sources(first, last)
        self.gradient_wide[:, :, low:high] += (
            self.weights[first:last, low:high].mT @ gradient
        )

    def gradient(self) -> Tensor:
        """The gradient of the maps, once all rows have given theirs."""
        if self.wide_shape == self.maps.shape:
            return self.gradient_wide
        return torch.ops.aten.upsample_bilinear2d_backward(
            self.gradient_wide,
            self.wide_shape[2:],
            self.maps.shape,
            self.align_corners,
        )

    def _widen(self, maps: Tensor) -> Tensor:
        return interpolate(
            maps, self.wide_shape[2:], mode='bilinear', align_corners=self.align_corners
        )

    def _sources(self, first: int, last: int) -> tuple[int, int]:
        """The original rows of which these are sums."""
        return self.range[first][0], self.range[last - 1][1]


@lru_cache(maxsize=32)
def _weights(
    length: int, resized: int, align_corners: bool
) -> tuple[Tensor, list[tuple[int, int]]]:
    """The (resized, length) matrix of a resizing, and the part of it that each row has.

    Of what ``interpolate`` makes of the unit vectors.
    """
    unit = torch.eye(length, dtype=torch.float64)[None, None]
    matrix = interpolate(
        unit, (resized, length), mode='bilinear', align_corners=align_corners
    )[0, 0]
    used = [row.nonzero().flatten().tolist() for row in matrix]
    return matrix, [(sources[0], sources[-1] + 1) for sources in used]


def neighbours(
    length: int, resized: int, align_corners: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Between which two a resized row lies, and how far from the first to the second.

    Returns:
        (resized,) indices of the first, likewise of the second, which at the border is
        the first again, and the second's weights, in float64.

    Example:
        >>> neighbours(2, 4, align_corners=False)[2]
        tensor([0.0000, 0.2500, 0.7500, 0.0000], dtype=torch.float64)
    """
    matrix, used = _weights(length, resized, align_corners)
    first = torch.tensor([low for low, _ in used])
    second = (first + 1).clamp(max=length - 1)
    weight = matrix.gather(1, second[:, None])[:, 0]
    return first, second, torch.where(second > first, weight, 0)
