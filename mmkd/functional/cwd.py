"""Channel-wise distillation (CWD)."""

import torch
from torch import Tensor

from .checks import check_pair
from .divergence import Divergence, kl_divergence
from .masking import EXCLUDED
from .standardize import prepare_logits, zscore


def cwd_loss(
    student: Tensor,
    teacher: Tensor,
    tau: float = 1.0,
    tau_teacher: float | None = None,
    standardize: bool = False,
    divergence: Divergence = kl_divergence,
    mask: Tensor | None = None,
) -> Tensor:
    r"""Divergence between the spatial distributions of each channel.

    With :math:`p_{nc} = softmax(t_{nc} / \tau)` over the valid positions of channel c
    of image n in the teacher's logits t, and :math:`q_{nc}` likewise for the student,

    .. math:: L = \frac{\tau^2}{N C} \sum_{n,c} D(p_{nc}, q_{nc})

    On a 1x1 map all distributions are the same and the loss is 0.

    Args:
        student, teacher: Maps, (N, C, H, W).
        tau, tau_teacher, divergence, mask: See :mod:`mmkd.functional`; the softmax runs
            over the valid positions.
        standardize: Z-score each channel over its valid positions. Default False.

    Reference:
        Shu et al., Channel-wise Knowledge Distillation for Dense Prediction, ICCV 2021,
        section 3.2, equations 3 and 4.

    Example:
        >>> maps = torch.arange(24.0).view(1, 2, 3, 4)
        >>> cwd_loss(maps, maps.flip(3), tau=4.0)
        tensor(2.4568)
    """
    if student.ndim != 4:
        raise ValueError(
            f'CWDLoss compares maps (N, C, H, W), but got {tuple(student.shape)}; '
            'use KDLoss for vectors'
        )
    check_pair(student, teacher)
    student, teacher = student.flatten(2), teacher.flatten(2)
    if mask is not None:
        mask = mask.flatten(1)[:, None]
    if standardize:
        student = zscore(student, dim=2, mask=mask)
        teacher = zscore(teacher, dim=2, mask=mask)
    student, teacher = prepare_logits(student, teacher, tau, tau_teacher)
    if mask is not None:
        student = torch.where(mask, student, EXCLUDED)
        teacher = torch.where(mask, teacher, EXCLUDED)
    return divergence(student, teacher, tau, dim=2).mean()
