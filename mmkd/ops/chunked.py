"""The mean divergence of two maps and its gradient, some pixels at a time."""

import torch
from torch import Tensor

from .closed_form import Form, divergence_
from .upsampling import Upsampling

# Of one temporary: large enough to hide Python's cost, small enough for a core's cache.
CPU_BYTES = 1 << 20
GPU_BYTES = 1 << 26


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
    if form.standardize:
        student, teacher = centred(student), centred(teacher)
    rows, images = chunk_of(student, size)
    totals, gradients = [], []
    for n in range(0, len(student), images):
        batch = slice(n, n + images)
        ours = Upsampling(student[batch], size, align_corners)
        theirs = Upsampling(teacher[batch], size, align_corners)
        for first in range(0, size[0], rows):
            last = min(first + rows, size[0])
            strips = [maps.rows(first, last) for maps in (ours, theirs)]
            value, gradient = divergence_(*(strip.flatten(2) for strip in strips), form)
            if counted is not None:
                ignored = ~counted[batch, first:last].flatten(1)
                value.masked_fill_(ignored, 0)
                gradient.masked_fill_(ignored[:, None], 0)
            totals.append(value.sum())
            ours.add_gradient(gradient.view_as(strips[0]), first, last)
        gradients.append(ours.gradient())
    return torch.stack(totals).sum(), torch.cat(gradients)


def centred(logits: Tensor) -> Tensor:
    """Takes off the mean over the classes, which resizing leaves 0.

    The first class goes before, so that constant pixels become exactly 0.
    """
    logits = logits - logits[:, :1]
    return logits.sub_(logits.mean(1, keepdim=True))


def chunk_of(logits: Tensor, size: tuple[int, int]) -> tuple[int, int]:
    """How many rows of how many images to take at a time."""
    limit = CPU_BYTES if logits.device.type == 'cpu' else GPU_BYTES
    row = logits.shape[1] * size[1] * logits.element_size()
    rows = max(1, min(size[0], limit // row))
    return rows, max(1, limit // (row * size[0]))
