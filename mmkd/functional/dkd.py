"""Decoupled knowledge distillation (DKD)."""

from functools import reduce

import torch
from torch import Tensor

from .checks import check_labels, check_weights
from .divergence import Divergence, kl_divergence, split_by_temperature
from .masking import EXCLUDED, masked_mean
from .standardize import prepare_logits


def dkd_loss(
    student: Tensor,
    teacher: Tensor,
    target: Tensor | None,
    alpha: float = 1.0,
    beta: float = 8.0,
    tau: float = 4.0,
    tau_teacher: float | None = None,
    standardize: bool = False,
    divergence: Divergence = kl_divergence,
    mask: Tensor | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    r"""Separate divergences of target and non-target classes.

    With p and q the softmaxes of teacher and student at :math:`\tau`, c the label and
    :math:`\hat p`, :math:`\hat q` the distributions over the non-target classes,

    .. math:: L = \frac{1}{M} \sum_m w_m \tau^2 \left(
        \alpha D\big((p_c, 1 - p_c), (q_c, 1 - q_c)\big)
        + \beta D\big(\hat p, \hat q\big) \right),
        \qquad \hat p_i = \frac{p_i}{1 - p_c}, \ i \ne c

    over the M valid positions. The first term is the target class distillation (TCKD),
    the second the non-target class distillation (NCKD). Plain KD weights the second
    term by 1 - p_c, which is nearly 0 where the teacher is confident. 1 - p_c is
    computed as a logsumexp of the other logits, so that peaked logits give finite
    values and gradients.

    Args:
        student, teacher, tau, tau_teacher, standardize, mask, weight: See
            :mod:`mmkd.functional`; tau is 4 by default.
        target: Class indices, (N,) or (N, H, W); any value at invalid positions.
        alpha: Weight of TCKD, >= 0. Default 1.
        beta: Weight of NCKD, >= 0. Default 8, the paper's value for ResNet-32x4 to
            ResNet-8x4; the paper uses 2 to 8.
        divergence: D; a ``tau_reverse`` among its keywords applies to both terms.

    Reference:
        Zhao et al., Decoupled Knowledge Distillation, CVPR 2022, section 3.2,
        equation 7.

    Example:
        >>> teacher = torch.tensor([[1.0, 4.0, 3.0, 2.0]])
        >>> dkd_loss(teacher.flip(1), teacher, torch.tensor([1]), beta=2.0)
        tensor(1.0535)
    """
    check_weights(alpha=alpha, beta=beta)
    if target is None or target.is_floating_point():
        found = 'no target' if target is None else 'soft labels (Mixup or CutMix?)'
        raise ValueError(
            f'DKDLoss needs the class of each position, but got {found}; use hard '
            'labels, or KDLoss'
        )
    student, teacher = prepare_logits(
        student, teacher, tau, tau_teacher, standardize, mask
    )
    label = (target if mask is None else torch.where(mask, target, 0)).long()
    check_labels(label, classes=student.shape[1])
    is_target = torch.zeros_like(student, dtype=torch.bool)
    is_target.scatter_(1, label[:, None], True)
    parts = [
        part(
            _two_way(student, is_target, part_tau),
            _two_way(teacher, is_target, part_tau),
            part_tau,
        )
        for part, part_tau in split_by_temperature(divergence, tau)
    ]
    tckd = reduce(torch.add, parts)
    others = (x.masked_fill(is_target, EXCLUDED) for x in (student, teacher))
    nckd = divergence(*others, tau)
    return masked_mean(alpha * tckd + beta * nckd, mask, weight)


def _two_way(logits: Tensor, is_target: Tensor, tau: float | Tensor) -> Tensor:
    """Two-class logits, on axis 1, whose softmax at tau is (p_c, 1 - p_c)."""
    target_logit = torch.where(is_target, logits, 0).sum(1)
    rest = (logits.masked_fill(is_target, EXCLUDED) / tau).logsumexp(1) * tau
    return torch.stack([target_logit, rest], 1)
