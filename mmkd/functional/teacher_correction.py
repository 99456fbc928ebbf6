"""Correction of a teacher by the labels."""

from typing import Literal, get_args

import torch
from torch import Tensor

from .checks import at_least_float32, check_labels, check_number, check_temperatures

Mode = Literal['mix', 'swap']


def correct_teacher(
    teacher: Tensor,
    target: Tensor,
    mode: Mode = 'mix',
    threshold: float = 0.2,
    tau: float = 1.0,
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    r"""Move a teacher's distribution towards the label where it is wrong or uncertain.

    With :math:`p = softmax(t / \tau)`, y the label, :math:`p_{max}` the largest
    probability of another class and :math:`\theta` the threshold, ``mode='mix'`` mixes
    p with the label wherever :math:`p_y < p_{max} + \theta`:

    .. math:: p' = (1 - m)\, p + m\, onehot(y), \qquad
        m = \frac{p_{max} - p_y + \theta}{1 + p_{max} - p_y}

    after which the label leads by exactly the threshold,
    :math:`p'_y = p'_{max} + \theta`. Elsewhere m would be negative, and p is unchanged.
    The result has the logits t' with :math:`p' = softmax(t' / \tau)` in which only that
    of the label differs,

    .. math:: t'_y = \tau \left( \log\sum_c e^{t_c / \tau}
        + \log\frac{p_{max} + \theta (1 - p_y)}{1 - \theta} \right)

    so that no probability underflows and any loss can use them, at any temperature,
    standardized or along the positions of a map. ``mode='swap'`` exchanges
    :math:`t_y` and the largest logit where the teacher is wrong, whatever the
    temperature and the threshold.

    Args:
        teacher: Logits t, (N, C) or (N, C, H, W), with C >= 2.
        target: Class indices y, (N,) or (N, H, W). A negative label is unknown, and the
            teacher is not corrected there.
        mode: ``'mix'``, the default, or ``'swap'``.
        threshold: :math:`\theta`, 0 <= threshold < 1. Default 0.2, as published for
            ``'mix'``, which with 0 makes the label no less likely than any other class.
        tau: Temperature of p in ``'mix'``. Default 1: the teacher's prediction.
        mask: Boolean (N,) or (N, H, W), valid positions. Others may have any logits and
            labels, and are not corrected. Default: all.

    Returns:
        Logits t' in float32 or better, and a boolean mask of the corrected positions.

    Raises:
        ValueError: for an argument out of range, a label that is no class, or logits of
            a single class.

    Reference:
        ``'mix'``: Lan et al., Improve Knowledge Distillation via Label Revision and
        Data Selection, arXiv 2404.03693, with :math:`1 - \theta` as its :math:`\eta`.
        ``'swap'``: Wen et al., Preparing Lessons: Improve Knowledge Distillation with
        Better Supervision, arXiv 1911.07471, probability shift.

    Example:
        >>> teacher = torch.tensor([[0.1, 0.2, 0.7]]).log()
        >>> corrected, _ = correct_teacher(teacher, torch.tensor([1]))
        >>> corrected.softmax(1)
        tensor([[0.0533, 0.5733, 0.3733]])
        >>> correct_teacher(teacher, torch.tensor([1]), 'swap')[0].softmax(1)
        tensor([[0.1000, 0.7000, 0.2000]])
    """
    check_correction(mode, threshold, tau)
    if teacher.shape[1] < 2:
        raise ValueError('the correction of a teacher needs at least two classes')
    teacher = at_least_float32(teacher)
    target = target.long()
    known = target >= 0
    if mask is not None:
        known = known & mask
    label = torch.where(known, target, 0)[:, None]
    check_labels(label, teacher.shape[1])
    is_label = torch.zeros_like(teacher, dtype=torch.bool).scatter_(1, label, True)
    others = teacher.masked_fill(is_label, -torch.inf)
    best, index = others.max(1, keepdim=True)
    own = teacher.gather(1, label)
    if mode == 'swap':
        corrected = known[:, None] & (own < best)
        swapped = teacher.scatter(1, label, best).scatter(1, index, own)
        return torch.where(corrected, swapped, teacher), corrected[:, 0]
    total = (teacher / tau).logsumexp(1, keepdim=True)
    p_own, p_best = (own / tau - total).exp(), (best / tau - total).exp()
    corrected = known[:, None] & (p_own < p_best + threshold)
    lead = (p_best + threshold * (1 - p_own)) / (1 - threshold)
    raised = tau * (total + lead.log())
    return torch.where(corrected & is_label, raised, teacher), corrected[:, 0]


def check_correction(mode: str, threshold: float, tau: float) -> None:
    """Raise an error for an argument out of range."""
    if mode not in get_args(Mode):
        raise ValueError(f"mode must be 'mix' or 'swap', not {mode!r}")
    check_number('threshold', threshold)
    if not 0 <= threshold < 1:
        raise ValueError(f'threshold must be >= 0 and < 1, but is {threshold}')
    check_number('tau', tau)
    check_temperatures(tau=tau)
