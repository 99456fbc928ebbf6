"""KDLoss from the logits as the networks give them, forward and backward at once."""

import warnings
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from mmkd.functional.checks import check_classes

from . import chunked, eager
from .closed_form import Form


class MeanDivergence(torch.autograd.Function):
    """Mean divergence over the counted pixels; its forward finds the gradient too."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        student: Tensor,
        teacher: Tensor,
        counted: Tensor | None,
        size: tuple[int, int],
        align_corners: bool,
        form: Form,
    ) -> Tensor:
        """Finds the value, and the gradient to keep for later."""
        total, gradient = implementation(student)(
            student, teacher, counted, size, align_corners, form
        )
        if counted is None:
            number = student.shape[0] * size[0] * size[1]
        else:
            number = counted.sum().clamp(min=1)
        ctx.save_for_backward(gradient.div_(number), student, teacher, counted)
        ctx.options = size, align_corners, form
        return total / number

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, grad_output: Tensor
    ) -> tuple[Tensor | None, ...]:
        """The kept gradient times that of the output."""
        gradient, *inputs = ctx.saved_tensors
        if torch.is_grad_enabled():  # somebody wants to differentiate again
            value = eager.mean_divergence(*inputs, *ctx.options)
            (gradient,) = torch.autograd.grad(value, inputs[0], create_graph=True)
        return gradient * grad_output, None, None, None, None, None


def implementation(student: Tensor) -> Callable[..., tuple[Tensor, Tensor]]:
    """One Triton kernel for float32 on CUDA, plain PyTorch for everything else."""
    if student.is_cuda and student.dtype == torch.float32 and runs(student.device):
        from . import triton_kernel

        return triton_kernel.total_and_gradient
    return chunked.total_and_gradient


@lru_cache
def runs(device: torch.device) -> bool:
    """Whether Triton is there and can make the kernel for a device."""
    try:
        from . import triton_kernel

        logits = torch.zeros(1, 3, 2, 2, device=device)
        triton_kernel.total_and_gradient(
            logits, logits, None, (4, 4), False, Form(standardize=True)
        )
    except Exception as error:  # no Triton, no compiler, an old GPU
        reason = ' '.join(f'{type(error).__name__}: {error}'.split())
        warnings.warn(f'no Triton kernel on {device} ({reason})', stacklevel=2)
        return False
    return True


def mean_divergence(
    student: Tensor,
    teacher: Tensor,
    counted: Tensor | None,
    size: tuple[int, int],
    align_corners: bool,
    form: Form,
) -> Tensor:
    """The mean over the counted pixels of two maps' divergence, both resized first.

    Args:
        student: (N, C, h, w), in float32 or float64.
        teacher: (N, C, h', w'), of the same type; gets no gradient.
        counted: Boolean (N, H, W), or what each pixel weighs; None where every pixel
            counts the same.
        size: H and W, of the resized maps (bilinear).
        align_corners: Of the resizing.
        form: Temperatures, weights and whether to standardise.

    Returns:
        A scalar; 0 where nothing counts.

    Raises:
        ValueError: to standardise fewer than 3 classes.

    Example:
        >>> student, teacher = torch.zeros(1, 3, 4, 4), torch.eye(4).expand(1, 3, 4, 4)
        >>> mean_divergence(student, teacher, None, (32, 32), False, Form())
        tensor(0.)
    """
    if form.standardize:
        check_classes(student)
    return MeanDivergence.apply(student, teacher, counted, size, align_corners, form)
