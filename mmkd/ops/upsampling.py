"""Bilinear resizing of a few rows at a time, and its adjoint."""

from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor

from mmkd.functional.resizing import weights_of

BLOCK = 64


class Upsampling:
    """A batch of maps whose resized rows are computed on demand.

    Columns are resized at once, to maps of the original height; a strip of rows is then
    a few weighted sums of theirs, equal to rows ``first`` to ``last`` of
    ``interpolate(maps, size, mode='bilinear')``.

    Args:
        maps: (N, C, h, w).
        size: Height and width of the result.
        align_corners: As of ``interpolate``.
    """

    def __init__(
        self, maps: Tensor, size: tuple[int, int], align_corners: bool
    ) -> None:
        # Rows before classes: a strip is then one matrix product.
        self.maps = maps.transpose(1, 2).contiguous()
        self.rows_of = self.columns_of = None
        (height, width), (rows, columns) = maps.shape[2:], size
        kind = align_corners, maps.dtype, maps.device
        if height != rows:
            self.rows_of = Resizing.of(height, rows, *kind)
        self.wide = self.maps
        if width != columns:
            self.columns_of = Resizing.of(width, columns, *kind)
            self.wide = maps.new_empty(*self.maps.shape[:3], columns)
            for block, used, weights in self.columns_of.blocks():
                self.wide[..., block] = self.maps[..., used] @ weights.mT
        self.gradient_wide: Tensor | None = None

    def rows(self, first: int, last: int) -> Tensor:
        """Return a new tensor of these rows, (N, last - first, C, W)."""
        if self.rows_of is None:
            return self.wide[:, first:last].clone()
        used, weights = self.rows_of.part(first, last)
        strip = weights @ self.wide[:, used].flatten(2)
        return strip.unflatten(2, self.wide.shape[2:])

    def add_gradient(self, gradient: Tensor, first: int, last: int) -> None:
        """Add the gradient of these rows."""
        if self.gradient_wide is None:
            self.gradient_wide = torch.zeros_like(self.wide)
        if self.rows_of is None:
            self.gradient_wide[:, first:last] = gradient
            return
        used, weights = self.rows_of.part(first, last)
        contribution = weights.mT @ gradient.flatten(2)
        self.gradient_wide[:, used] += contribution.unflatten(2, gradient.shape[2:])

    def gradient(self) -> Tensor:
        """Return the gradient of the maps, once those of all rows are added."""
        gradient = self.gradient_wide
        if self.columns_of is not None:
            gradient = torch.zeros_like(self.maps)
            for block, used, weights in self.columns_of.blocks():
                gradient[..., used] += self.gradient_wide[..., block] @ weights
        return gradient.transpose(1, 2)


class Resizing:
    """Resizing of one axis: a matrix with at most two adjacent entries per row."""

    def __init__(self, matrix: Tensor, used: list[tuple[int, int]]) -> None:
        self.matrix = matrix
        self.used = used

    @classmethod
    @lru_cache(maxsize=32)
    def of(
        cls,
        length: int,
        resized: int,
        align_corners: bool,
        dtype: torch.dtype,
        device: torch.device,
    ) -> 'Resizing':
        """Return the resizing of ``interpolate``."""
        matrix, used = weights_of(length, resized, align_corners)
        return cls(matrix.to(device, dtype), used)

    def part(self, first: int, last: int) -> tuple[slice, Tensor]:
        """Sources of some of the results, and their weights."""
        ends = self.used[first:last]
        low, high = min(a for a, _ in ends), max(b for _, b in ends)
        return slice(low, high), self.matrix[first:last, low:high]

    def blocks(self) -> Iterator[tuple[slice, slice, Tensor]]:
        """Yield blocks of results, their sources and weights."""
        for first in range(0, len(self.used), BLOCK):
            last = min(first + BLOCK, len(self.used))
            yield slice(first, last), *self.part(first, last)


def neighbors(
    length: int, resized: int, align_corners: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The two original rows between which each resized row lies, and its position.

    Returns:
        (resized,) indices of the first row, of the second, which at the border is the
        first again, and the second's weights, in float64.

    Example:
        >>> neighbors(2, 4, align_corners=False)[2]
        tensor([0.0000, 0.2500, 0.7500, 0.0000], dtype=torch.float64)
    """
    matrix, used = weights_of(length, resized, align_corners)
    first = torch.tensor([low for low, _ in used])
    second = (first + 1).clamp(max=length - 1)
    weight = matrix.gather(1, second[:, None])[:, 0]
    return first, second, torch.where(second > first, weight, 0)
