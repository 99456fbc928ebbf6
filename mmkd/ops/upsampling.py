"""Bilinear resizing in strips of rows, and its adjoint."""

from collections.abc import Iterator
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from mmkd.functional.resizing import weights_of

BLOCK = 64


class Upsampling:
    """Batch of maps whose resized rows are computed on demand.

    The columns are resized at construction, at the original height. A strip of rows is
    then a weighted sum of a few of the original rows and equals rows ``first`` to
    ``last`` of ``interpolate(maps, size, mode='bilinear')``.

    Args:
        maps: (N, C, h, w).
        size: Height H and width W of the result.
        align_corners: See ``torch.nn.functional.interpolate``.
    """

    def __init__(
        self, maps: Tensor, size: tuple[int, int], align_corners: bool
    ) -> None:
        # Put rows before classes, so that a strip is one matrix product.
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

    @cached_property
    def gradient_wide(self) -> Tensor:
        """Gradient of ``self.wide``."""
        return torch.zeros_like(self.wide)

    def rows(self, first: int, last: int) -> Tensor:
        """Return rows ``first`` to ``last`` as a new tensor (N, last - first, C, W)."""
        if self.rows_of is None:
            return self.wide[:, first:last].clone()
        used, weights = self.rows_of.part(first, last)
        strip = weights @ self.wide[:, used].flatten(2)
        return strip.unflatten(2, self.wide.shape[2:])

    def add_gradient(self, gradient: Tensor, first: int, last: int) -> None:
        """Add the gradient of rows ``first`` to ``last``."""
        if self.rows_of is None:
            self.gradient_wide[:, first:last] = gradient
            return
        used, weights = self.rows_of.part(first, last)
        contribution = weights.mT @ gradient.flatten(2)
        self.gradient_wide[:, used] += contribution.unflatten(2, gradient.shape[2:])

    def gradient(self) -> Tensor:
        """Return the gradient of the maps, once the gradients of all rows are added."""
        gradient = self.gradient_wide
        if self.columns_of is not None:
            gradient = torch.zeros_like(self.maps)
            for block, used, weights in self.columns_of.blocks():
                gradient[..., used] += self.gradient_wide[..., block] @ weights
        return gradient.transpose(1, 2)


class Resizing:
    """Resizing of one axis: a matrix with at most two nonzero entries per row."""

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
        """Return the resizing that ``interpolate`` applies."""
        matrix, used = weights_of(length, resized, align_corners)
        return cls(matrix.to(device, dtype), used)

    def part(self, first: int, last: int) -> tuple[slice, Tensor]:
        """Return the source range of results ``first`` to ``last``, and the weights."""
        ends = self.used[first:last]
        low, high = min(a for a, _ in ends), max(b for _, b in ends)
        return slice(low, high), self.matrix[first:last, low:high]

    def blocks(self) -> Iterator[tuple[slice, slice, Tensor]]:
        """Yield blocks of results with their source ranges and weights."""
        for first in range(0, len(self.used), BLOCK):
            last = min(first + BLOCK, len(self.used))
            yield slice(first, last), *self.part(first, last)


def neighbors(
    length: int, resized: int, align_corners: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the two source rows of each resized row, and the second's weight.

    Returns:
        Three tensors of shape (resized,): the index of the first source row, the index
        of the second, equal to the first at the border, and the weight of the second in
        float64.

    Example:
        >>> neighbors(2, 4, align_corners=False)[2]
        tensor([0.0000, 0.2500, 0.7500, 0.0000], dtype=torch.float64)
    """
    matrix, used = weights_of(length, resized, align_corners)
    first = torch.tensor([low for low, _ in used])
    second = (first + 1).clamp(max=length - 1)
    weight = matrix.gather(1, second[:, None])[:, 0]
    return first, second, torch.where(second > first, weight, 0)
