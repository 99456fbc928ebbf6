"""Fused KDLoss of raw maps, which computes value and gradient in one pass."""

import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from mmkd.functional import kd_loss
from mmkd.functional.checks import check_classes, check_not_empty
from mmkd.functional.masking import zero_invalid
from mmkd.functional.resizing import resize_logits, used_pixels

from . import chunked
from .closed_form import DivergenceOptions

Kernel = Callable[..., tuple[Tensor, Tensor]]  # returns the mean and its gradient


def fused_kd_loss(
    student: Tensor,
    teacher: Tensor,
    size: tuple[int, ...],
    options: DivergenceOptions,
    align_corners: bool = False,
    mask: Tensor | None = None,
    weight: Tensor | None = None,
    kernel: Kernel | None = None,
) -> Tensor:
    """:func:`mmkd.functional.kd_loss` of two maps after bilinear resizing.

    No tensor of the size of the resized maps is allocated. Second derivatives are those
    of :func:`eager_kd_loss`.

    Args:
        student: (N, C, h, w), in float32 or float64.
        teacher: (N, C, h', w'), of the same dtype; gets no gradient.
        size: Height H and width W to which both are resized.
        options: Temperatures, weights and standardization.
        align_corners: Option of the resizing. Default False.
        mask: Boolean (N, H, W), valid pixels. Default: all.
        weight: Factor of each pixel, (N, H, W). Default: 1.
        kernel: ``mean_and_gradient`` of a module of :mod:`mmkd.ops`. Default: that of
            :func:`implementation`.

    Returns:
        A scalar; 0 if no pixel is valid.

    Raises:
        ValueError: for an empty batch, or standardization of fewer than 3 classes.

    Example:
        >>> student, teacher = torch.zeros(1, 3, 4, 4), torch.eye(4).expand(1, 3, 4, 4)
        >>> fused_kd_loss(student, teacher, (32, 32), DivergenceOptions())
        tensor(0.)
    """
    if options.standardize:
        check_classes(student)
    for name, logits in (('student', student), ('teacher', teacher)):
        check_not_empty(f'the batch of {name} logits', logits)
    return FusedKDLoss.apply(
        student, teacher, mask, weight, size, options, align_corners, kernel
    )


def eager_kd_loss(
    student: Tensor,
    teacher: Tensor,
    size: tuple[int, ...],
    options: DivergenceOptions,
    align_corners: bool = False,
    mask: Tensor | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """Reference of :func:`fused_kd_loss` that uses autograd and resized maps."""
    return kd_loss(
        resize_logits(student, size, align_corners, mask),
        resize_logits(teacher, size, align_corners, mask),
        options.tau,
        options.tau_teacher,
        options.standardize,
        options.divergence,
        options.scale_compensated,
        mask,
        weight,
    )


class FusedKDLoss(torch.autograd.Function):
    """Autograd function of :func:`fused_kd_loss`; its forward computes the gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        student: Tensor,
        teacher: Tensor,
        mask: Tensor | None,
        weight: Tensor | None,
        size: tuple[int, ...],
        options: DivergenceOptions,
        align_corners: bool,
        kernel: Kernel | None,
    ) -> Tensor:
        """Compute the value, and save the gradient for the backward pass."""
        ctx.options = size, options, align_corners
        pixels = student.shape[0] * size[0] * size[1]
        count: int | Tensor = pixels
        maps, pixel_weight = [student, teacher], weight
        if mask is not None:
            count = mask.sum().clamp(min=1).to(student.dtype)
            sizes = {logits.shape[2:] for logits in maps}
            used = {each: used_pixels(mask, each, align_corners) for each in sizes}
            maps = [zero_invalid(logits, used[logits.shape[2:]]) for logits in maps]
            if weight is not None:
                pixel_weight = torch.where(mask, weight, 0)
        mean, gradient = (kernel or implementation(student, options))(
            *maps, size, options, align_corners, mask, pixel_weight
        )
        ctx.save_for_backward(gradient.div_(count), student, teacher, mask, weight)
        return mean * (pixels / count)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        """Scale the saved gradient; with ``create_graph`` make it differentiable."""
        gradient, student, teacher, mask, weight = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph=True
            size, options, align_corners = ctx.options
            value = eager_kd_loss(
                student, teacher, size, options, align_corners, mask, weight
            )
            (gradient,) = torch.autograd.grad(value, student, create_graph=True)
        return gradient * grad_output, *(None,) * 7


def implementation(student: Tensor, options: DivergenceOptions) -> Kernel:
    """Return the Triton kernel for float32 on CUDA, otherwise plain PyTorch.

    So are divergences that the kernel does not have.
    """
    if (
        student.is_cuda
        and student.dtype == torch.float32
        and options.kernel_launches()
        and triton_works(student.device)
    ):
        from . import triton_kernel

        return triton_kernel.mean_and_gradient
    return chunked.mean_and_gradient


@lru_cache
def triton_works(device: torch.device) -> bool:
    """Return True if Triton is installed and compiles the kernel for a device."""
    try:
        from . import triton_kernel

        logits = torch.zeros(1, 3, 2, 2, device=device)
        options = DivergenceOptions(standardize=True)
        triton_kernel.mean_and_gradient(logits, logits, (4, 4), options)
    except Exception as error:  # no Triton, no compiler, or an old GPU
        reason = ' '.join(f'{type(error).__name__}: {error}'.split())
        warnings.warn(f'no Triton kernel on {device} ({reason})', stacklevel=2)
        return False
    return True
