"""Resizing of logits and labels to a common resolution."""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from .masking import zero_invalid


def resize_logits(
    logits: Tensor,
    size: tuple[int, ...],
    align_corners: bool = False,
    mask: Tensor | None = None,
) -> Tensor:
    """Resize maps bilinearly; return the input itself if it already has that size.

    Args:
        logits: (N, C, h, w).
        size: Target height H and width W.
        align_corners: See ``torch.nn.functional.interpolate``. Default False.
        mask: Boolean (N, H, W), valid pixels of the result. Invalid pixels of the
            result have arbitrary values. Source pixels that contribute only to invalid
            pixels are set to 0, so NaN and infinity in them have no effect. Default:
            all pixels are valid.
    """
    if logits.shape[2:] == size:
        return logits
    if mask is not None:
        logits = zero_invalid(
            logits, used_pixels(mask, logits.shape[2:], align_corners)
        )
    return interpolate(logits, size, mode='bilinear', align_corners=align_corners)


def used_pixels(
    mask: Tensor, size: tuple[int, ...], align_corners: bool = False
) -> Tensor:
    """Mark source pixels with a nonzero bilinear weight in some valid pixel.

    Args:
        mask: Boolean (N, H, W), valid pixels after resizing.
        size: Height h and width w before resizing.
        align_corners: See ``torch.nn.functional.interpolate``. Default False.

    Returns:
        Boolean (N, h, w).

    Example:
        >>> used_pixels(torch.tensor([[[1, 0, 0, 0, 0, 0]]]).bool(), (1, 3))
        tensor([[[ True, False, False]]])
    """
    if mask.shape[1:] == size:
        return mask
    down, across = (
        _parts(length, resized, align_corners, mask.device)
        for length, resized in zip(size, mask.shape[1:], strict=True)
    )
    with torch.autocast(mask.device.type, enabled=False):
        return down @ mask.to(down.dtype) @ across.mT > 0


@lru_cache(maxsize=32)
def _parts(
    length: int, resized: int, align_corners: bool, device: torch.device
) -> Tensor:
    """Matrix (length, resized), 1 where a source pixel contributes to a resized one."""
    matrix, _ = weights_of(length, resized, align_corners)
    return (matrix.mT != 0).to(device, torch.float32)


@lru_cache(maxsize=32)
def weights_of(
    length: int, resized: int, align_corners: bool
) -> tuple[Tensor, list[tuple[int, int]]]:
    """Return the (resized, length) matrix of a resizing, and each row's nonzero range.

    Computed by resizing unit vectors with ``interpolate`` in float64.
    """
    unit = torch.eye(length, dtype=torch.float64)[None, None]
    matrix = interpolate(
        unit, (resized, length), mode='bilinear', align_corners=align_corners
    )[0, 0]
    used = [row.nonzero().flatten().tolist() for row in matrix]
    return matrix, [(sources[0], sources[-1] + 1) for sources in used]


def resize_target(target: Tensor | None, size: tuple[int, ...]) -> Tensor | None:
    """Resize an (N, H, W) label by nearest neighbor; return None for None."""
    if target is None or target.shape[1:] == size:
        return target
    return interpolate(target[:, None].float(), size)[:, 0].to(target.dtype)
