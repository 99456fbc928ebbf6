"""Resizing of logits and labels to a common resolution."""

from torch import Tensor
from torch.nn.functional import interpolate


def resize_logits(
    logits: Tensor, size: tuple[int, int], align_corners: bool = False
) -> Tensor:
    """Resize (N, C, H, W) maps bilinearly; returns the input if it has that size."""
    if logits.shape[2:] == size:
        return logits
    return interpolate(logits, size, mode='bilinear', align_corners=align_corners)


def resize_target(target: Tensor | None, size: tuple[int, int]) -> Tensor | None:
    """Resize an (N, H, W) label by nearest neighbor; None stays None."""
    if target is None or target.shape[1:] == size:
        return target
    return interpolate(target[:, None].float(), size)[:, 0].to(target.dtype)
