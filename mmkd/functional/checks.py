"""Argument validation that never reads tensor values on a GPU.

Reading a value would synchronize with the device.
"""

from numbers import Real

import torch
from torch import Tensor

# Published temperatures range from 0.05 to 21. Outside these bounds a softmax is
# one-hot or uniform, and float32 cannot represent the divergence.
LOWEST_TAU, HIGHEST_TAU = 1e-3, 1e3


def at_least_float32(logits: Tensor) -> Tensor:
    """Cast half-precision logits to float32; keep float32 and float64.

    Half precision lacks the range for squared logits, and autocast promotes neither
    ``-`` nor ``sqrt`` to float32.

    Raises:
        TypeError: if ``logits`` is not a floating-point tensor.

    Example:
        >>> at_least_float32(torch.zeros(2, dtype=torch.float16)).dtype
        torch.float32
    """
    if not logits.is_floating_point():
        raise TypeError(f'logits must be a floating-point tensor, not {logits.dtype}')
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def check_number(name: str, value: object) -> None:
    """Raise a TypeError for anything but a number."""
    if not isinstance(value, Real):
        raise TypeError(f'{name} must be a number, but is {value!r}')


def check_flags(**flags: bool) -> None:
    """Raise a TypeError for anything but True and False, such as ``'False'``."""
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            raise TypeError(f'{name} must be True or False, but is {flag!r}')


def check_temperatures(**temperatures: float | Tensor | None) -> None:
    """Raise an error for one out of range or no number; skip None and tensors."""
    for name, tau in temperatures.items():
        if tau is None or isinstance(tau, Tensor):
            continue
        check_number(name, tau)
        if not LOWEST_TAU <= tau <= HIGHEST_TAU:
            raise ValueError(
                f'{name} must be at least {LOWEST_TAU} and at most {HIGHEST_TAU}, '
                f'but is {tau}'
            )


def check_weights(**weights: float) -> None:
    """Raise an error unless all weights are numbers, >= 0 and finite."""
    for name, weight in weights.items():
        check_number(name, weight)
        if not 0 <= weight < float('inf'):
            raise ValueError(f'{name} must be >= 0 and finite, but is {weight}')


def check_balance(forward_weight: float, reverse_weight: float) -> None:
    """Raise a ValueError unless both weights are finite, >= 0, and not both 0."""
    check_weights(forward_weight=forward_weight, reverse_weight=reverse_weight)
    if not forward_weight and not reverse_weight:
        raise ValueError('forward_weight and reverse_weight must not both be 0')


def check_classes(logits: Tensor, dim: int = 1) -> None:
    """Raise a ValueError if ``dim`` has fewer than 3 entries to standardize."""
    if logits.shape[dim] < 3:
        raise ValueError(
            f'standardization needs at least 3 entries along dim {dim}, but logits of '
            f'shape {tuple(logits.shape)} have {logits.shape[dim]}: two standardized '
            'logits are always +-0.71; set standardize=False and '
            'scale_compensated=False'
        )


def check_not_empty(name: str, values: Tensor) -> None:
    """Raise a ValueError for a tensor without elements, whose mean is undefined."""
    if not values.numel():
        raise ValueError(
            f'{name} is empty: its shape is {tuple(values.shape)}; skip empty batches, '
            'and check the crop size and any filtering of samples'
        )


def check_pair(student: Tensor, teacher: Tensor) -> None:
    """Raise a ValueError if the logits differ in shape or are empty."""
    if student.shape != teacher.shape:
        raise ValueError(
            'student and teacher logits must have the same shape, but have '
            f'{tuple(student.shape)} and {tuple(teacher.shape)}'
        )
    check_not_empty('the batch of logits', student)


def check_labels(label: Tensor, classes: int) -> None:
    """Raise a ValueError for a label out of range; on a GPU torch itself does so."""
    if label.device.type != 'cpu':
        return
    wrong = label[(label < 0) | (label >= classes)]
    if wrong.numel():
        raise ValueError(
            f'label {int(wrong[0])} is not a class: the logits have {classes} classes, '
            f'0 to {classes - 1}; set ignore_index to it, or correct the labels'
        )


def check_logits(student: Tensor, teacher: Tensor, target: Tensor | None) -> None:
    """Check the shapes of logits and target before they are resized.

    Logits are (N, C) or (N, C, H, W); the maps of student and teacher may differ in
    height and width. The target is (N,) or (N, H', W') for labels of size H' x W', or
    (N, C) for vectors with soft labels.

    Raises:
        ValueError: for unsupported or mismatched shapes and for empty tensors.
    """
    if student.ndim not in (2, 4):
        raise ValueError(
            "logits must be (N, C) or (N, C, H, W), but the student's are "
            f'{tuple(student.shape)}: name the module whose output to compare with '
            'student=... in the loss config'
        )
    if student.ndim != teacher.ndim or student.shape[:2] != teacher.shape[:2]:
        raise ValueError(
            f'student logits {tuple(student.shape)} and teacher logits '
            f'{tuple(teacher.shape)} must have the same batch size and number of '
            'classes; use a teacher trained on the same classes, or compare the '
            'outputs of other modules'
        )
    for name, values in (
        ("the batch of the student's logits", student),
        ("the batch of the teacher's logits", teacher),
        ('the target', target),
    ):
        if values is not None:
            check_not_empty(name, values)
    if target is None or (target.is_floating_point() and target.shape == student.shape):
        return
    if target.ndim != student.ndim - 1 or target.shape[0] != student.shape[0]:
        raise ValueError(
            f'target {tuple(target.shape)} does not match logits '
            f'{tuple(student.shape)}: expected (N,) or (N, H, W)'
        )
