"""The divergence of KDLoss and its gradient, written out: no graph, few passes."""

from dataclasses import dataclass

import torch
from torch import Tensor

CLASSES = -2  # the axis of (..., C, P)


@dataclass(frozen=True)
class Form:
    """What of a loss the formula needs; see :class:`mmkd.models.KDLoss`.

    ``ratio`` is tau_teacher / tau. With ``standardize`` the logits come centred: their
    mean over the classes is 0.
    """

    tau: float = 1.0
    ratio: float = 1.0
    tau_reverse: float = 1.0
    forward_weight: float = 1.0
    reverse_weight: float = 0.0
    standardize: bool = False
    eps: float = 1e-7

    def halves(self) -> list[tuple[float, float, float]]:
        """Temperature, forward and reverse weight of what one softmax serves."""
        if self.tau == self.tau_reverse:
            return [(self.tau, self.forward_weight, self.reverse_weight)]
        halves = [
            (self.tau, self.forward_weight, 0.0),
            (self.tau_reverse, 0.0, self.reverse_weight),
        ]
        return [half for half in halves if any(half[1:])]


def divergence_(student: Tensor, teacher: Tensor, form: Form) -> tuple[Tensor, Tensor]:
    r"""The divergence of each pixel and its gradient for the student's logits.

    With r = log q - log p and m = sum_c q r, of one temperature

    .. math:: L = \tau^2 \sum_c (b q - a p) r, \qquad
        g = dL / dz = \tau \left( a (q - p) + b q (r - m) \right)

    and through standardising, z = s / (std + eps) of centred logits,

    .. math:: dL / ds = \frac{g}{std + eps} - \frac{z}{(C - 1) std} \sum_c g z

    Args:
        student: (..., C, P), overwritten.
        teacher: (..., C, P), overwritten.
        form: Which loss.

    Returns:
        (..., P) and (..., C, P).
    """
    std = None
    if form.standardize:
        std, scale = standardize_(student, form.eps)
        standardize_(teacher, form.eps)
    if form.ratio != 1:
        teacher.mul_(1 / form.ratio)
    first, *second = form.halves()
    value, gradient = one_temperature(student, teacher, *first)
    for half in second:
        more, steeper = one_temperature(student, teacher, *half)
        value.add_(more)
        gradient.add_(steeper)
    if std is not None:
        along = torch.mul(gradient, student, out=teacher).sum(CLASSES, keepdim=True)
        along.div_(std.mul_(1 - student.shape[CLASSES]))
        gradient.mul_(scale).addcmul_(student, along)
    return value, gradient


def standardize_(logits: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Divides centred logits by their std + eps; returns std and 1 / (std + eps).

    Of a constant pixel, all of whose centred logits are 0, std is 1 and the factor 0.
    """
    variance = logits.square().sum(CLASSES, keepdim=True)
    variance.div_(logits.shape[CLASSES] - 1)
    constant = variance == 0
    std = variance.masked_fill_(constant, 1).sqrt_()
    scale = (std + eps).reciprocal_().masked_fill_(constant, 0)
    logits.mul_(scale)
    return std, scale


def one_temperature(
    student: Tensor,
    teacher: Tensor,
    tau: float,
    forward_weight: float,
    reverse_weight: float,
) -> tuple[Tensor, Tensor]:
    """Value and gradient, for the (standardised) logits, of one pair of softmaxes."""
    log_q = (student / tau).log_softmax(CLASSES)
    log_p = (teacher / tau).log_softmax(CLASSES)
    q, p = log_q.exp(), log_p.exp()
    ratio = log_q.sub_(log_p)
    value = 0
    if forward_weight:
        value = torch.mul(p, ratio, out=log_p).sum(CLASSES)
        value.mul_(-forward_weight * tau**2)
    if not reverse_weight:
        return value, q.sub_(p).mul_(forward_weight * tau)
    weighted = ratio.mul_(q)
    mean = weighted.sum(CLASSES, keepdim=True)
    value = value + mean.squeeze(CLASSES) * (reverse_weight * tau**2)
    gradient = q.mul_(mean.mul_(-reverse_weight).add_(forward_weight).mul_(tau))
    gradient.add_(weighted, alpha=reverse_weight * tau)
    if forward_weight:
        gradient.sub_(p, alpha=forward_weight * tau)
    return value, gradient
