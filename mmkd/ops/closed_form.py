"""The divergence of KDLoss and its gradient, written out: no graph, few passes."""

from dataclasses import dataclass

import torch
from torch import Tensor

CLASSES = -2  # the axis of (..., C, P)


@dataclass(frozen=True)
class Form:
    """What of a loss the formula needs; see :class:`mmkd.losses.KDLoss`.

    ``ratio`` is tau_teacher / tau.
    """

    tau: float = 1.0
    ratio: float = 1.0
    tau_reverse: float = 1.0
    forward_weight: float = 1.0
    reverse_weight: float = 0.0
    standardize: bool = False
    effective_tau: bool = False
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


def divergence_(
    student: Tensor,
    teacher: Tensor,
    form: Form,
    share: Tensor | None = None,
    bounded: bool = False,
) -> tuple[Tensor, Tensor]:
    r"""The divergence of each pixel and its gradient for the student's logits.

    With x = z_s / tau, y = z_t / tau, d = x - y, M = sum_c q d, N = sum_c p d and D the
    difference of the two logsumexps, of one temperature

    .. math:: L = \tau^2 \left( a (D - N) + b (M - D) \right), \qquad
        g = dL / dz = \tau \left( a (q - p) + b q (d - M) \right)

    and through standardising, z = s / (std + eps) of centred logits,

    .. math:: dL / ds = \frac{g}{std + eps} - \frac{z}{(C - 1) std} \sum_c g z

    With ``effective_tau`` a pixel's share is times std^2, which has no gradient.

    Args:
        student: (..., C, P), centred: the mean over the classes is 0. Overwritten.
        teacher: The same, likewise.
        form: Which loss.
        share: (..., 1, P), what a pixel counts. Default: 1.
        bounded: Whether exp(x) is sure to be neither infinite nor 0 for all classes.

    Returns:
        (..., 1, P) and (..., C, P).
    """
    factor = share
    before = form.halves()[0][0]
    if form.standardize:
        std, factor = standardize_(student, form.eps, before)
        standardize_(teacher, form.eps, before * form.ratio)
        if form.effective_tau:
            level = std.square().mul_(factor != 0)
            share = level if share is None else level.mul_(share)
        if share is not None:
            factor.mul_(share)
    else:
        for logits, tau in ((student, before), (teacher, before * form.ratio)):
            if tau != 1:
                logits.mul_(1 / tau)
    value = gradient = None
    for tau, forward_weight, reverse_weight in form.halves():
        if tau != before:
            student.mul_(before / tau)
            teacher.mul_(before / tau)
            before = tau
        more, steeper = one_temperature(
            student,
            teacher,
            forward_weight * tau,
            reverse_weight * tau,
            factor,
            bounded,
        )
        more.mul_(tau)
        value = more if value is None else value.add_(more)
        gradient = steeper if gradient is None else gradient.add_(steeper)
    if share is not None:
        value.mul_(share)
    if form.standardize:
        along = torch.mul(gradient, student, out=teacher).sum(CLASSES, keepdim=True)
        along.mul_(std.reciprocal_().mul_(form.eps).add_(1))
        gradient.addcmul_(
            student, along, value=before**2 / (1 - student.shape[CLASSES])
        )
    return value, gradient


def standardize_(logits: Tensor, eps: float, tau: float) -> tuple[Tensor, Tensor]:
    """Divides centred logits by (std + eps) tau; returns std and 1 / (std + eps).

    Of a constant pixel, all of whose centred logits are 0, std is 1 and the factor 0.
    """
    variance = logits.square().sum(CLASSES, keepdim=True)
    variance.div_(logits.shape[CLASSES] - 1)
    constant = variance == 0
    std = variance.masked_fill_(constant, 1).sqrt_()
    scale = (std + eps).reciprocal_().masked_fill_(constant, 0)
    logits.mul_(scale / tau)
    return std, scale


def one_temperature(
    x: Tensor,
    y: Tensor,
    forward_weight: float,
    reverse_weight: float,
    factor: Tensor | None,
    bounded: bool,
) -> tuple[Tensor, Tensor]:
    """Value of a KL(p || q) + b KL(q || p), and ``factor`` times its gradient for x.

    The exponentials stay as they are: what would make them probabilities goes into the
    factors of a pixel, which spares two passes.
    """
    q, of_q, log_total = exponentials(x, bounded)
    p, of_p, log_total_p = exponentials(y, bounded)
    log_total.sub_(log_total_p)
    d = x - y
    value, qd, slope = 0, None, forward_weight
    if reverse_weight:
        qd = q * d
        mean = qd.sum(CLASSES, keepdim=True).mul_(of_q)
        value = (mean - log_total).mul_(reverse_weight)
        slope = mean.mul_(-reverse_weight).add_(forward_weight)
    if forward_weight:
        mean_p = d.mul_(p).sum(CLASSES, keepdim=True).mul_(of_p)
        value = value + mean_p.neg_().add_(log_total).mul_(forward_weight)
    if factor is not None:
        of_q.mul_(factor)
        of_p.mul_(factor)
    gradient = q.mul_(of_q * slope)
    if reverse_weight:
        gradient.addcmul_(qd, of_q, value=reverse_weight)
    if forward_weight:
        gradient.addcmul_(p, of_p, value=-forward_weight)
    return value, gradient


def exponentials(logits: Tensor, bounded: bool) -> tuple[Tensor, Tensor, Tensor]:
    """What softmax divides, one over what it divides by, and the logsumexp."""
    if bounded:
        powers = logits.exp()
        total = powers.sum(CLASSES, keepdim=True)
        return powers, total.reciprocal(), total.log_()
    largest = logits.amax(CLASSES, keepdim=True)
    powers = (logits - largest).exp_()
    total = powers.sum(CLASSES, keepdim=True)
    return powers, total.reciprocal(), total.log_().add_(largest)
