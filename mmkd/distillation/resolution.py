"""Resolution at which the teacher sees the images."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mmkd.engine.num_classes import segmentation_head
from mmkd.errors import UserError
from mmkd.functional.mask_logits import log_scores

# Heads of mask classifiers, which predict probabilities instead of logits.
MASK_HEADS = {'MaskFormerHead', 'Mask2FormerHead', 'SideAdapterCLIPHead'}


@dataclass(frozen=True)
class Resolution:
    """Resolution of the teacher's images, given as keys of ``teacher``.

    Args:
        scale: Factor by which images are resized bilinearly for the teacher.
        size: Height and width to which they are resized instead.
        slide: Run the teacher on overlapping windows, with mmseg's own sliding
            inference and the ``crop_size`` and ``stride`` of its ``test_cfg``. For
            networks that accept one size only. Default False.
        key: Config key of the teacher, for error messages.

    Raises:
        UserError: for invalid or contradictory values.
    """

    scale: float | None = None
    size: Sequence[int] | None = None
    slide: bool = False
    key: str = field(default='teacher', compare=False, kw_only=True)

    def __post_init__(self) -> None:
        if self.scale is not None and self.size is not None:
            raise UserError(f'{self.key}: give either scale or size, not both')
        if self.scale is not None and not _positive(self.scale, Real):
            raise UserError(
                f'{self.key}.scale: must be a positive number, but is {self.scale!r}'
            )
        if self.size is not None and not (
            isinstance(self.size, list | tuple)
            and len(self.size) == 2
            and all(_positive(length, int) for length in self.size)
        ):
            raise UserError(
                f'{self.key}.size: must be (height, width), two positive integers, but '
                f'is {self.size!r}'
            )
        if not isinstance(self.slide, bool):
            raise UserError(
                f'{self.key}.slide: must be True or False, but is {self.slide!r}'
            )

    @property
    def changes(self) -> bool:
        """True if the network runs otherwise than on the images as they are."""
        return self != Resolution()

    def check(self, model: nn.Module) -> None:
        """Raise a UserError if ``slide`` is not possible with a network."""
        if not self.slide:
            return
        if not hasattr(model, 'slide_inference'):
            raise UserError(
                f'{self.key}.slide: only mmseg segmentors have windows, not a '
                f'{type(model).__name__}; use {self.key}.size=(height, width)'
            )
        test_cfg = getattr(model, 'test_cfg', None) or {}
        for name in ('crop_size', 'stride'):
            if name not in test_cfg:
                raise UserError(
                    f"{self.key}.slide: the teacher's model.test_cfg has no {name}; "
                    "set test_cfg=dict(mode='slide', crop_size=(h, w), "
                    'stride=(h, w)) in its config'
                )

    def resize(self, images: Tensor) -> Tensor:
        """Resize images (N, C, H, W) for the teacher."""
        height, width = images.shape[2:]
        if self.size is not None:
            height, width = self.size
        elif self.scale is not None:
            height, width = (
                max(1, round(self.scale * length)) for length in (height, width)
            )
        if images.shape[2:] == (height, width):
            return images
        return interpolate(images, (height, width), mode='bilinear')

    def window(self, model: Any, images: Tensor) -> Tensor:
        """Return the part of resized images that the network sees at a time."""
        if not self.slide:
            return images
        height, width = model.test_cfg['crop_size']
        return images[:, :, :height, :width]

    def logits(self, model: Any, images: Tensor, metas: list[dict]) -> Tensor:
        """Return a segmentor's logits (N, T, h, w) for resized images."""
        size = images.shape[2:]
        # Copies, because the sliding inference changes them.
        metas = [dict(meta, img_shape=size, pad_shape=size) for meta in metas]
        infer = model.slide_inference if self.slide else model.inference
        logits = infer(images, metas)
        kinds = {kind.__name__ for kind in type(segmentation_head(model)).__mro__}
        return log_scores(logits) if kinds & MASK_HEADS else logits


@contextmanager
def naming_resolution(
    model: nn.Module, images: Tensor, key: str = 'teacher'
) -> Iterator[None]:
    """Name the keys to set if a network fails at the size of its images."""
    try:
        yield
    except (UserError, torch.cuda.OutOfMemoryError):
        raise
    except (AssertionError, RuntimeError, ValueError) as error:
        height, width = images.shape[2:]
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise UserError(
            f'{key}: the network fails on images of {height}x{width}: {reason}; if '
            f'it accepts one size only, set {key}.size={_own_size(model)}, or '
            f'{key}.slide=True for images larger than its window'
        ) from error


def _own_size(model: nn.Module) -> str:
    """Return the size that a module of the network states, or a placeholder."""
    for module in model.modules():
        size = getattr(module, 'img_size', None)
        size = (size, size) if isinstance(size, int) else size
        if isinstance(size, list | tuple) and len(size) == 2:
            return f'({size[0]}, {size[1]})'
    return '(height, width)'


def _positive(value: object, kind: type) -> bool:
    right = isinstance(value, kind) and not isinstance(value, bool)
    return right and 0 < value < float('inf')  # type: ignore[operator]
