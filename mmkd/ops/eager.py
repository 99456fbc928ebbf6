"""What the fast paths compute, step by step: to read, and to differentiate twice."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from mmkd.functional import balanced_kl_divergence, standardize

from .closed_form import Form


def mean_divergence(
    student: Tensor,
    teacher: Tensor,
    counted: Tensor | None,
    size: tuple[int, int],
    align_corners: bool,
    form: Form,
) -> Tensor:
    """See :func:`mmkd.ops.mean_divergence`; differentiable at will."""
    student, teacher = (
        logits
        if logits.shape[2:] == size
        else interpolate(logits, size, mode='bilinear', align_corners=align_corners)
        for logits in (student, teacher)
    )
    level = student.detach().var(1) if form.effective_tau else 1
    if form.standardize:
        student, teacher = (standardize(x, eps=form.eps) for x in (student, teacher))
    values = level * balanced_kl_divergence(
        student,
        teacher / form.ratio,
        form.tau,
        form.tau_reverse,
        form.forward_weight,
        form.reverse_weight,
    )
    if counted is None:
        return values.mean()
    values = torch.where(counted != 0, counted * values, 0)
    return values.sum() / counted.sum().clamp(min=1)
