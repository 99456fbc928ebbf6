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
    height: int, rows: int, align_corners: bool
) -> tuple[Tensor, list[tuple[int, int]]]:
    """The (rows, height) matrix of a resizing, and what each row has of it."""
    unit = torch.eye(height, dtype=torch.float64)[None, None]
    matrix = interpolate(
        unit, (rows, height), mode='bilinear', align_corners=align_corners
    )[0, 0]
    used = [row.nonzero().flatten().tolist() for row in matrix]
    return matrix, [(columns[0], columns[-1] + 1) for columns in used]
