"""Mean divergence of two maps and its gradient, computed in chunks of pixels."""

import torch
from torch import Tensor

from mmkd.functional.standardize import LARGE

from .closed_form import DivergenceOptions, divergence_and_gradient_
from .upsampling import Upsampling

# Size of one temporary: large enough to amortize Python's overhead and, on a CPU, small
# enough for a core's cache.
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
    chunk_bytes: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the mean over all pixels of resized maps, and the gradient of the sum.

    Invalid pixels contribute 0. The value is a mean because the sum could overflow. The
    gradient is that of the student's maps. Only one strip of rows of the resized maps
    exists at a time, of at most ``chunk_bytes`` unless a single row is larger; the
    default depends on the device. See :func:`mmkd.ops.fused_kd_loss` for the other
    arguments.
    """
    student, teacher = centered(student), centered(teacher)
    largest = [largest_logit(logits) for logits in (student, teacher)]
    bounded = is_bounded(max(largest), student.shape[1], options)
    large = max(largest) > LARGE
    rows, images = chunk_size(student, size, chunk_bytes)
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
    """Subtract the mean over the classes, to which a softmax is invariant.

    The mean stays 0 under resizing. The first class is subtracted beforehand, so that
    constant pixels become exactly 0.
    """
    logits = logits - logits[:, :1]
    return logits.sub_(logits.mean(1, keepdim=True))


def largest_logit(logits: Tensor) -> float:
    """Largest absolute value; infinity on a GPU, where reading it would synchronize."""
    return float(logits.abs().max()) if logits.device.type == 'cpu' else torch.inf


def is_bounded(largest: float, classes: int, options: DivergenceOptions) -> bool:
    """Return True if no exponential of centered logits can overflow or underflow.

    Standardized logits are bounded by (C - 1) / sqrt(C), others by ``largest``.
    """
    lowest_tau = min(tau for tau, *_ in options.by_temperature())
    limit = LARGEST_EXPONENT * lowest_tau * min(1.0, options.tau_ratio)
    if options.standardize:
        largest = (classes - 1) / classes**0.5
    return largest < limit


def chunk_size(
    logits: Tensor, size: tuple[int, int], chunk_bytes: int | None = None
) -> tuple[int, int]:
    """Number of rows and of images to process at a time."""
    default = CPU_BYTES if logits.device.type == 'cpu' else GPU_BYTES
    limit = chunk_bytes or default
    row = logits.shape[1] * size[1] * logits.element_size()
    rows = max(1, min(size[0], limit // row))
    return rows, max(1, limit // (row * size[0]))
