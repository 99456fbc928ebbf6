"""The divergence of KDLoss and its gradient, written out: no graph, few passes."""

from dataclasses import dataclass

import torch
from torch import Tensor

CLASSES = -2  # the axis of (..., C, P)


@dataclass(frozen=True)
class Form:
    """What of a loss the formula needs; see :class:`mmkd.models.KDLoss`.

    ``ratio`` is tau_teacher / tau.
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


def divergence_(
    student: Tensor, teacher: Tensor, form: Form, bounded: bool = False
) -> tuple[Tensor, Tensor]:
    r"""The divergence of each pixel and its gradient for the student's logits.

    With x = z_s / tau, y = z_t / tau, d = x - y, M = sum_c q d, N = sum_c p d and L the
    difference of the two logsumexps, of one temperature

    .. math:: L = \tau^2 \left( a (L - N) + b (M - L) \right), \qquad
        g = dL / dz = \tau \left( a (q - p) + b q (d - M) \right)

    and through standardising, z = s / (std + eps) of centred logits,

    .. math:: dL / ds = \frac{g}{std + eps} - \frac{z}{(C - 1) std} \sum_c g z

    Args:
        student: (..., C, P), centred: the mean over the classes is 0. Overwritten.
        teacher: The same, likewise.
        form: Which loss.
        bounded: Whether exp(x) is sure to be neither infinite nor 0 for all classes.

    Returns:
        (..., P) and (..., C, P).
    """
    if form.standardize:
        std, scale = standardize_(student, form.eps)
        standardize_(teacher, form.eps)
    if form.ratio != 1:
        teacher.mul_(1 / form.ratio)
    value = gradient = None
    before = 1.0
    for tau, forward_weight, reverse_weight in form.halves():
        if tau != before:
            student.mul_(before / tau)
            teacher.mul_(before / tau)
            before = tau
        more, steeper = one_temperature(
            student, teacher, forward_weight * tau, reverse_weight * tau, bounded
        )
        more.mul_(tau)
        value = more if value is None else value.add_(more)
        gradient = steeper if gradient is None else gradient.add_(steeper)
    if form.standardize:
        along = torch.mul(gradient, student, out=teacher).sum(CLASSES, keepdim=True)
        along.div_(std).mul_(before**2 / (1 - student.shape[CLASSES]))
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
    x: Tensor, y: Tensor, forward_weight: float, reverse_weight: float, bounded: bool
) -> tuple[Tensor, Tensor]:
    """Value and gradient of a KL(p || q) + b KL(q || p) for the logits x of q."""
    q, log_total = softmax(x, bounded)
    p, log_total_p = softmax(y, bounded)
    log_total.sub_(log_total_p)
    d = x - y
    value = 0
    qd = mean = None
    if reverse_weight:
        qd = q * d
        mean = qd.sum(CLASSES, keepdim=True)
        value = (mean - log_total).mul_(reverse_weight)
    if forward_weight:
        value = value + (log_total - d.mul_(p).sum(CLASSES, keepdim=True)).mul_(
            forward_weight
        )
    value = value.squeeze(CLASSES)
    if not reverse_weight:
        return value, q.sub_(p).mul_(forward_weight)
    gradient = q.mul_(mean.mul_(-reverse_weight).add_(forward_weight))
    gradient.add_(qd, alpha=reverse_weight)
    if forward_weight:
        gradient.sub_(p, alpha=forward_weight)
    return value, gradient


def softmax(logits: Tensor, bounded: bool) -> tuple[Tensor, Tensor]:
    """Probabilities and the logsumexp."""
    if bounded:
        probabilities = logits.exp()
        total = probabilities.sum(CLASSES, keepdim=True)
        return probabilities.mul_(total.reciprocal()), total.log_()
    largest = logits.amax(CLASSES, keepdim=True)
    probabilities = (logits - largest).exp_()
    total = probabilities.sum(CLASSES, keepdim=True)
    return probabilities.mul_(total.reciprocal()), total.log_().add_(largest)
