"""What the losses demand of their inputs, each with an error that says what is wrong.

None reads a value of a tensor, which would wait for the device.
"""

import torch
from torch import Tensor


def at_least_float32(logits: Tensor) -> Tensor:
    """Casts half-precision logits to float32; leaves float32 and float64 alone.

    Autocast promotes neither ``-`` nor ``sqrt``, and half precision has not the range
    for the squares of logits, so the losses widen their inputs themselves.

    Raises:
        TypeError: if ``logits`` is not a floating-point tensor.

    Example:
        >>> at_least_float32(torch.zeros(2, dtype=torch.float16)).dtype
        torch.float32
    """
    if not logits.is_floating_point():
        raise TypeError(f'logits must be a floating-point tensor, not {logits.dtype}')
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def check_temperature(tau: float | Tensor, name: str = 'tau') -> None:
    """Raises a ValueError unless ``tau > 0`` and finite; a tensor is taken on trust."""
    if not isinstance(tau, Tensor) and not 0 < tau < float('inf'):
        raise ValueError(f'{name} must be > 0 and finite, but is {tau}')


def check_weight(weight: float, name: str) -> None:
    """Raises a ValueError unless ``weight >= 0`` and finite."""
    if not 0 <= weight < float('inf'):
        raise ValueError(f'{name} must be >= 0 and finite, but is {weight}')


def check_weights(forward_weight: float, reverse_weight: float) -> None:
    """Raises a ValueError unless both are finite and >= 0, and one is positive."""
    weights = forward_weight, reverse_weight
    if not all(0 <= weight < float('inf') for weight in weights) or not any(weights):
        raise ValueError(
            'forward_weight and reverse_weight must be >= 0 and not both 0, but are '
            f'{forward_weight} and {reverse_weight}'
        )


def check_classes(logits: Tensor, dim: int = 1) -> None:
    """Raises a ValueError unless there are 3 entries or more to standardise."""
    if logits.shape[dim] < 3:
        raise ValueError(
            f'standardising needs at least 3 entries along dim {dim}, but logits of '
            f'shape {tuple(logits.shape)} have {logits.shape[dim]}: two standardised '
            'logits are +-0.71 whatever the network says (set standardize=False)'
        )


def check_logits(student: Tensor, teacher: Tensor, target: Tensor | None) -> None:
    """Checks what a loss is given: (N, C) or (N, C, H, W), and (N,) or (N, H', W').

    Maps may differ in height and width; the target of vectors may be soft, (N, C).

    Raises:
        ValueError: if the two are not both vectors or both maps of one N and C, or the
            target does not go with them.
    """
    if student.ndim not in (2, 4):
        raise ValueError(
            'logits must be (N, C) or (N, C, H, W), but the student gave '
            f'{tuple(student.shape)}: name its tap with student=... in the loss config'
        )
    if student.ndim != teacher.ndim or student.shape[:2] != teacher.shape[:2]:
        raise ValueError(
            f'student logits {tuple(student.shape)} and teacher logits '
            f'{tuple(teacher.shape)} must agree in batch and classes'
        )
    soft = target is not None and target.is_floating_point() and student.ndim == 2
    if target is None or (soft and target.shape == student.shape):
        return
    if target.ndim != student.ndim - 1 or target.shape[0] != student.shape[0]:
        raise ValueError(
            f'target {tuple(target.shape)} does not go with logits '
            f'{tuple(student.shape)}: expected (N,) or (N, H, W)'
        )
