"""Closed form of KDLoss's divergence and gradient: no graph, few passes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mmkd.functional.standardize import LARGE

CLASSES = -2  # axis of (..., C, P)
EPS = 1e-7  # of mmkd.functional.standardize


@dataclass(frozen=True)
class DivergenceOptions:
    """Arguments of the fused loss; see :func:`mmkd.functional.kd_loss`.

    ``tau_reverse`` and the weights are those of
    :func:`mmkd.functional.balanced_kl_divergence`.
    """

    tau: float = 1.0
    tau_teacher: float | None = None
    standardize: bool = False
    scale_compensated: bool = False
    forward_weight: float = 1.0
    reverse_weight: float = 0.0
    tau_reverse: float | None = None

    @property
    def tau_ratio(self) -> float:
        """The teacher's temperature divided by the student's."""
        return 1.0 if self.tau_teacher is None else self.tau_teacher / self.tau

    def by_temperature(self) -> list[tuple[float, float, float]]:
        """Each temperature, with its forward and reverse weight."""
        if self.tau_reverse in (None, self.tau):
            return [(self.tau, self.forward_weight, self.reverse_weight)]
        halves = [
            (self.tau, self.forward_weight, 0.0),
            (self.tau_reverse, 0.0, self.reverse_weight),
        ]
        return [half for half in halves if any(half[1:])]


def divergence_and_gradient_(
    student: Tensor,
    teacher: Tensor,
    options: DivergenceOptions,
    factor: Tensor | None = None,
    bounded: bool = False,
    large: bool = True,
) -> tuple[Tensor, Tensor]:
    r"""Divergence of each pixel and its gradient for the student's logits.

    With x = z_s / tau, y = z_t / tau, d = x - y, M = sum_c q d, N = sum_c p d and D the
    difference of the two logsumexps, for one temperature

    .. math:: L = \tau^2 \left( a (D - N) + b (M - D) \right), \qquad
        g = dL / dz = \tau \left( a (q - p) + b q (d - M) \right)

    and through standardization, z = s / (std + eps) of centered logits,

    .. math:: dL / ds = \frac{g}{std + eps} - \frac{z}{(C - 1) std} \sum_c g z

    With ``scale_compensated`` a pixel's factor includes std^2, without a gradient.

    Args:
        student: (..., C, P), centered: the mean over the classes is 0. Overwritten.
        teacher: Logits of the same shape, centered. Overwritten.
        options: Arguments of the loss.
        factor: (..., 1, P), factor of each pixel. Default: 1.
        bounded: Whether exp(x) can neither overflow nor be 0 for all classes.
        large: Whether squares of logits may overflow.

    Returns:
        (..., 1, P) and (..., C, P).
    """
    temperatures = options.by_temperature()
    current_tau = temperatures[0][0]
    gradient_factor = factor
    if options.standardize:
        std, gradient_factor = standardize_(student, current_tau, large)
        standardize_(teacher, current_tau * options.tau_ratio, large)
        if options.scale_compensated:
            variance = std.square().mul_(gradient_factor != 0)
            factor = variance if factor is None else variance.mul_(factor)
        if factor is not None:
            gradient_factor.mul_(factor)
    else:
        for logits, tau in (
            (student, current_tau),
            (teacher, current_tau * options.tau_ratio),
        ):
            if tau != 1:
                logits.mul_(1 / tau)
    value = gradient = None
    for tau, forward_weight, reverse_weight in temperatures:
        if tau != current_tau:
            student.mul_(current_tau / tau)
            teacher.mul_(current_tau / tau)
            current_tau = tau
        tau_value, tau_gradient = one_temperature(
            student,
            teacher,
            forward_weight * tau,
            reverse_weight * tau,
            gradient_factor,
            bounded,
        )
        tau_value.mul_(tau)
        value = tau_value if value is None else value.add_(tau_value)
        gradient = tau_gradient if gradient is None else gradient.add_(tau_gradient)
    if factor is not None:
        value.mul_(factor)
    if options.standardize:
        # student is z / tau here, and gradient g / (std + eps).
        projection = torch.mul(gradient, student, out=teacher).sum(
            CLASSES, keepdim=True
        )
        projection.mul_(std.reciprocal_().mul_(EPS).add_(1))
        gradient.addcmul_(
            student, projection, value=current_tau**2 / (1 - student.shape[CLASSES])
        )
    return value, gradient


def standardize_(logits: Tensor, tau: float, large: bool) -> tuple[Tensor, Tensor]:
    """Divide centered logits by (std + eps) tau; return std and 1 / (std + eps).

    For a constant pixel, all of whose centered logits are 0, these are 1 and 0.
    """
    scale = None
    if large:
        largest = logits.abs().amax(CLASSES, keepdim=True)
        scale = torch.where(largest > LARGE, largest, 1)
    squares = (logits if scale is None else logits / scale).square()
    variance = squares.sum(CLASSES, keepdim=True).div_(logits.shape[CLASSES] - 1)
    constant = variance == 0
    std = variance.masked_fill_(constant, 1).sqrt_()
    if scale is not None:
        std.mul_(scale)
    inverse_std = (std + EPS).reciprocal_().masked_fill_(constant, 0)
    logits.mul_(inverse_std / tau)
    return std, inverse_std


def one_temperature(
    x: Tensor,
    y: Tensor,
    forward_weight: float,
    reverse_weight: float,
    gradient_factor: Tensor | None,
    bounded: bool,
) -> tuple[Tensor, Tensor]:
    """Value of a KL(p || q) + b KL(q || p), and its scaled gradient for x.

    The exponentials are not normalized to probabilities: the normalization is part of
    each pixel's factors, which saves two passes.
    """
    exp_x, scale_q, logsumexp_x = exponentials(x, bounded)
    exp_y, scale_p, logsumexp_y = exponentials(y, bounded)
    logsumexp_difference = logsumexp_x.sub_(logsumexp_y)
    d = x - y
    value, exp_x_d, q_coefficient = 0, None, forward_weight
    if reverse_weight:
        exp_x_d = exp_x * d
        mean_q = exp_x_d.sum(CLASSES, keepdim=True).mul_(scale_q)
        value = (mean_q - logsumexp_difference).mul_(reverse_weight)
        q_coefficient = mean_q.mul_(-reverse_weight).add_(forward_weight)
    if forward_weight:
        mean_p = d.mul_(exp_y).sum(CLASSES, keepdim=True).mul_(scale_p)
        value = value + mean_p.neg_().add_(logsumexp_difference).mul_(forward_weight)
    if gradient_factor is not None:
        scale_q.mul_(gradient_factor)
        scale_p.mul_(gradient_factor)
    gradient = exp_x.mul_(scale_q * q_coefficient)
    if reverse_weight:
        gradient.addcmul_(exp_x_d, scale_q, value=reverse_weight)
    if forward_weight:
        gradient.addcmul_(exp_y, scale_p, value=-forward_weight)
    return value, gradient


def exponentials(logits: Tensor, bounded: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Exponentials (shifted unless bounded), one over their sum, and the logsumexp."""
    if bounded:
        powers = logits.exp()
        total = powers.sum(CLASSES, keepdim=True)
        return powers, total.reciprocal(), total.log_()
    largest = logits.amax(CLASSES, keepdim=True)
    powers = (logits - largest).exp_()
    total = powers.sum(CLASSES, keepdim=True)
    return powers, total.reciprocal(), total.log_().add_(largest)
