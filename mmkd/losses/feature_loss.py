"""Base class of losses between the features of two networks."""

import math
from abc import abstractmethod
from typing import Any

from torch import Tensor

from mmkd.functional.checks import check_not_empty
from mmkd.functional.resizing import resize_logits, resize_target

from .distillation_loss import DistillationLoss


class FeatureLoss(DistillationLoss):
    """Base class of losses between the features of two networks.

    A loss is called as ``loss(student, teacher, target=None)`` with the outputs of any
    two modules: maps (N, C, H, W), vectors (N, C), or the tokens (N, L, C) of a
    transformer, which become maps. The teacher's map is resized bilinearly to the
    student's size. Pixels labeled ``ignore_index`` are masked, and subclasses call the
    functions of :mod:`mmkd.functional`.

    Unless the config of the loss names taps, the modules whose outputs are compared,
    they are the backbones, with the last of several outputs.

    Args:
        shape: Height and width of the grid of tokens. Further tokens, which come first
            (class token, registers), are dropped. Default None: a square grid, after at
            most one class token.
        kwargs: Arguments of :class:`DistillationLoss`.

    Raises:
        ValueError: for tokens without a square grid if ``shape`` is not given, and for
            mismatched features.
    """

    student_tap: str = 'backbone'
    teacher_tap: str = 'backbone'
    # True if both features must have the same number of channels.
    same_channels = True

    def __init__(self, shape: tuple[int, int] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        name = type(self).__name__
        if not self.same_channels and self.adapter is not None:
            raise ValueError(
                f'{name} compares similarities, so it needs no adapter: remove adapter'
            )
        self.shape = shape

    def prepare(
        self, student: Tensor, teacher: Tensor, target: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return both features as maps (N, C, H, W) or vectors (N, C)."""
        student, teacher = as_map(student, self.shape), as_map(teacher, self.shape)
        if student.ndim != teacher.ndim or len(student) != len(teacher):
            raise ValueError(
                f"the student's features {tuple(student.shape)} and the teacher's "
                f'{tuple(teacher.shape)} must both be maps or both be vectors of the '
                'same batch; name other taps'
            )
        channels = student.shape[1], teacher.shape[1]
        if self.same_channels and self.adapter is None and channels[0] != channels[1]:
            raise ValueError(
                f"the student's features have {channels[0]} channels and the teacher's "
                f"{channels[1]}; set adapter='conv', or name taps of the same width"
            )
        check_not_empty("the batch of the student's features", student)
        return student, teacher

    def value(self, student: Tensor, teacher: Tensor, target: Tensor | None) -> Tensor:
        """Return the unweighted loss of features in float32 or better."""
        if student.ndim == 2:
            return self.compare(student, teacher, target, None)
        if target is not None and target.ndim != 3:
            target = None  # the label of an image says nothing about its pixels
        size = student.shape[2:]
        teacher = resize_logits(teacher, size, self.align_corners)
        target = resize_target(target, size)
        return self.compare(student, teacher, target, self.valid_pixels(target))

    @abstractmethod
    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        target: Tensor | None,
        mask: Tensor | None,
    ) -> Tensor:
        """Return the unweighted loss of aligned features.

        Args:
            student: (N, C, H, W) or (N, C), after the adapter, in float32 or better.
            teacher: Features of the same size.
            target: (N, H, W), or None without a label map; for vectors as given.
            mask: Boolean (N, H, W), valid pixels; None: all positions are valid.
        """


def as_map(features: Tensor, shape: tuple[int, int] | None = None) -> Tensor:
    """Return the tokens (N, L, C) of a transformer as a map; others unchanged.

    See :class:`FeatureLoss` for ``shape`` and errors.

    Example:
        >>> import torch
        >>> as_map(torch.zeros(2, 1 + 14 * 14, 192)).shape
        torch.Size([2, 192, 14, 14])
    """
    if features.ndim in (2, 4):
        return features
    if features.ndim != 3:
        raise ValueError(
            'features must be maps (N, C, H, W), vectors (N, C) or tokens (N, L, C), '
            f'but the shape is {tuple(features.shape)}; name another tap'
        )
    tokens = features.shape[1]
    side = math.isqrt(tokens)
    height, width = shape or (side, side)
    further = tokens - height * width
    if further < 0 or (shape is None and further > 1):
        given = '' if shape is None else f', and shape={tuple(shape)} needs more'
        raise ValueError(
            f'{tokens} tokens are not a square grid{given}; set shape=(height, width) '
            "of the tokens' grid in the loss config"
        )
    return features[:, further:].mT.unflatten(2, (height, width))
