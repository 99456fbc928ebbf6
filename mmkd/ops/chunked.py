"""Mean divergence of two maps and its gradient, some pixels at a time."""

import torch
from torch import Tensor

from mmkd.functional.standardize import LARGE

from .closed_form import DivergenceOptions, divergence_and_gradient_
from .upsampling import Upsampling

# Of one temporary: large enough to hide Python's cost, small enough for a core's cache.
CPU_BYTES = 1 << 20
GPU_BYTES = 1 << 26
LARGEST_EXPONENT = 80.0  # e^80 and e^-80 are normal numbers in float32


def mean_and_gradient(
    student: Tensor,
    teacher: Tensor,
    size: tuple[int, int],
    options: DivergenceOptions,
    align_corners: bool = False,
    mask: Tensor | None = None,
    weight: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Mean over all pixels of resized maps, and the gradient of the sum.

    Invalid pixels count as 0: a mean, as the sum may be too large. The gradient is the
    student's. Resized maps exist one strip of rows at a time; see
    :func:`mmkd.ops.fused_kd_loss` for the arguments.
    """
    student, teacher = centered(student), centered(teacher)
    largest = [largest_logit(logits) for logits in (student, teacher)]
    bounded = is_bounded(max(largest), student.shape[1], options)
    large = max(largest) > LARGE
    rows, images = chunk_size(student, size)
    pixels = len(student) * size[0] * size[1]
    means, gradients = [], []
    for n in range(0, len(student), images):
        batch = slice(n, n + images)
        student_maps = Upsampling(student[batch], size, align_corners)
        teacher_maps = Upsampling(teacher[batch], size, align_corners)
        for first in range(0, size[0], rows):
            last = min(first + rows, size[0])
            factor = None
            for per_pixel in (mask, weight):
                if per_pixel is not None:
                    strip = per_pixel[batch, first:last, None].to(student.dtype)
                    factor = strip if factor is None else factor * strip
            value, gradient = divergence_and_gradient_(
                student_maps.rows(first, last),
                teacher_maps.rows(first, last),
                options,
                factor,
                bounded,
                large,
            )
            means.append(value.div_(pixels).sum())
            student_maps.add_gradient(gradient, first, last)
        gradients.append(student_maps.gradient())
    return torch.stack(means).sum(), torch.cat(gradients)


def centered(logits: Tensor) -> Tensor:
    """Subtract the mean over the classes, which no softmax depends on.

    Resizing keeps it 0. The first class is subtracted before, so that constant pixels
    become exactly 0.
    """
    logits = logits - logits[:, :1]
    return logits.sub_(logits.mean(1, keepdim=True))


def largest_logit(logits: Tensor) -> float:
    """Largest absolute value; on a GPU, where it would synchronize, infinity."""
    return float(logits.abs().max()) if logits.device.type == 'cpu' else torch.inf


def is_bounded(largest: float, classes: int, options: DivergenceOptions) -> bool:
    """Return whether no exponential of centered logits can over- or underflow.

    Standardized logits are bounded by (C - 1) / sqrt(C), others by the ``largest``.
    """
    lowest_tau = min(tau for tau, *_ in options.by_temperature())
    limit = LARGEST_EXPONENT * lowest_tau * min(1.0, options.tau_ratio)
    if options.standardize:
        largest = (classes - 1) / classes**0.5
    return largest < limit


def chunk_size(logits: Tensor, size: tuple[int, int]) -> tuple[int, int]:
    """Number of rows and of images to process at a time."""
    limit = CPU_BYTES if logits.device.type == 'cpu' else GPU_BYTES
    row = logits.shape[1] * size[1] * logits.element_size()
    rows = max(1, min(size[0], limit // row))
    return rows, max(1, limit // (row * size[0]))
