"""The mean divergence of two maps and its gradient, some pixels at a time."""

import torch
from torch import Tensor

from .closed_form import Form, divergence_
from .upsampling import Upsampling

# Of one temporary: large enough to hide Python's cost, small enough for a core's cache.
CPU_BYTES = 1 << 20
GPU_BYTES = 1 << 26
LARGEST = 80.0  # e^80 and e^-80 are fine numbers in float32


def total_and_gradient(
    student: Tensor,
    teacher: Tensor,
    counted: Tensor | None,
    size: tuple[int, int],
    align_corners: bool,
    form: Form,
) -> tuple[Tensor, Tensor]:
    """Sum over the counted pixels of a map, and its gradient for the student's logits.

    No tensor of the resized map's size is made: strips of rows come and go.
    """
    student, teacher = centred(student), centred(teacher)
    bounded = is_bounded(student, teacher, form)
    rows, images = chunk_of(student, size)
    totals, gradients = [], []
    for n in range(0, len(student), images):
        batch = slice(n, n + images)
        ours = Upsampling(student[batch], size, align_corners)
        theirs = Upsampling(teacher[batch], size, align_corners)
        for first in range(0, size[0], rows):
            last = min(first + rows, size[0])
            strips = (maps.rows(first, last) for maps in (ours, theirs))
            share = None
            if counted is not None:
                share = counted[batch, first:last, None].to(student.dtype)
            value, gradient = divergence_(*strips, form, share, bounded)
            totals.append(value.sum())
            ours.add_gradient(gradient, first, last)
        gradients.append(ours.gradient())
    return torch.stack(totals).sum(), torch.cat(gradients)


def centred(logits: Tensor) -> Tensor:
    """Takes off the mean over the classes, which no softmax sees; resizing keeps it 0.

    The first class goes before, so that constant pixels become exactly 0.
    """
    logits = logits - logits[:, :1]
    return logits.sub_(logits.mean(1, keepdim=True))


def is_bounded(student: Tensor, teacher: Tensor, form: Form) -> bool:
    """Whether no exponential of centred logits can be too large or too small.

    Standardised ones are bounded by (C - 1) / sqrt(C). Else one has to look, for which
    a GPU would have to be waited for.
    """
    tau = min(form.tau, form.tau_reverse) * min(1.0, form.ratio)
    if form.standardize:
        classes = student.shape[1]
        return (classes - 1) / classes**0.5 < LARGEST * tau
    if student.device.type != 'cpu':
        return False
    return max(float(x.abs().max()) for x in (student, teacher)) < LARGEST * tau


def chunk_of(logits: Tensor, size: tuple[int, int]) -> tuple[int, int]:
    """How many rows of how many images to take at a time."""
    limit = CPU_BYTES if logits.device.type == 'cpu' else GPU_BYTES
    row = logits.shape[1] * size[1] * logits.element_size()
    rows = max(1, min(size[0], limit // row))
    return rows, max(1, limit // (row * size[0]))
