"""Check of the outputs of taps, before they are compared."""

import torch
from torch import Tensor

from mmkd.errors import UserError

NAME = 'name the module that outputs the logits'


def check_tap(key: str, tap: str, logits: Tensor, images: Tensor) -> None:
    """Raise a UserError if a tap's output cannot be logits for these images.

    Args:
        key: Config key of the tap.
        tap: Name of the module.
        logits: Its output.
        images: (N, C, H, W), the batch.
    """
    shape = tuple(logits.shape)
    if logits.ndim not in (2, 4) or shape[0] != len(images):
        raise UserError(
            f"{key}: '{tap}' outputs a tensor of shape {shape}, not logits of "
            f'shape (N, C) or (N, C, H, W) of the {len(images)} images; {NAME}'
        )
    height, width = images.shape[2:]
    # A map of stride s has sides of H / s and W / s, each up to 1 more or less.
    if logits.ndim == 4 and abs(shape[2] * width - shape[3] * height) > height + width:
        raise UserError(
            f"{key}: '{tap}' outputs a tensor of shape {shape}, not a map with the "
            f'aspect ratio of the {height}x{width} images; {NAME}'
        )


def check_kinds(
    key: str, taps: tuple[str, str], student: Tensor, teacher: Tensor
) -> None:
    """Raise a UserError if a map is compared with a vector.

    Args:
        key: Config key of the loss.
        taps: Names of the student's and the teacher's tap.
        student: Output of the student's tap.
        teacher: Output of the teacher's tap.
    """
    ours, theirs = taps
    if student.ndim != teacher.ndim:
        raise UserError(
            f"{key}: the teacher's '{theirs}' outputs {_kind(teacher)}, but the "
            f"student's '{ours}' {_kind(student)}; compare a segmentor with a "
            'segmentor, or a classifier with a classifier'
        )


def check_channels(
    key: str, taps: tuple[str, str], channels: tuple[int, int], features: bool
) -> None:
    """Raise a UserError for outputs of different classes.

    Args:
        key: Config key of the loss.
        taps: Names of the student's and the teacher's tap.
        channels: Their numbers of channels.
        features: True if the loss also compares features.
    """
    (our_tap, their_tap), (ours, theirs) = taps, channels
    if ours != theirs:
        fix = 'use a teacher with the same classes, teacher.class_map, or other taps'
        if features:
            fix += "; for features, set adapter='conv'"
        raise UserError(
            f"{key}: the teacher's '{their_tap}' outputs {theirs} channels, but the "
            f"student's '{our_tap}' {ours}; {fix}"
        )


def check_gradient(key: str, tap: str, output: Tensor) -> None:
    """Raise a UserError if a student's output cannot be trained.

    See :func:`check_tap` for the arguments.
    """
    if torch.is_grad_enabled() and not output.requires_grad:
        raise UserError(
            f"{key}: the output of '{tap}' carries no gradient, so this loss "
            'would train nothing: it is frozen, or inside a block with with_cp=True; '
            'name a module that is trained, or set with_cp=False'
        )


def _kind(logits: Tensor) -> str:
    return 'a map' if logits.ndim == 4 else 'a vector for each image'
