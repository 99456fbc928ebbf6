"""Closed form of the divergence of KDLoss and its gradient, without autograd."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from mmkd.functional import balanced_kl_divergence
from mmkd.functional.standardize import LARGE

from .class_terms import BALANCED_KL, CLASS_TERMS, CLASSES, kernel_arguments

EPS = 1e-7  # as in mmkd.functional.standardize


@dataclass(frozen=True)
class DivergenceOptions:
    """Arguments of the fused loss; see :func:`mmkd.functional.kd_loss`.

    ``function`` is the divergence, one of ``mmkd.ops.FUSED``, and ``keywords`` are its
    arguments. The default is forward KL.
    """

    tau: float = 1.0
    tau_teacher: float | None = None
    standardize: bool = False
    scale_compensated: bool = False
    function: Callable[..., Tensor] = balanced_kl_divergence
    keywords: Mapping[str, Any] = field(default_factory=lambda: {'reverse_weight': 0.0})

    def divergence(
        self, student: Tensor, teacher: Tensor, tau: float, dim: int = 1
    ) -> Tensor:
        """Return the divergence of every position by the eager function."""
        return self.function(student, teacher, tau=tau, dim=dim, **self.keywords)

    def kernel_launches(self) -> list[tuple[int, float, float, float]]:
        """Return kind, temperature and two parameters of the Triton kernel's launches.

        Empty if the kernel has no such divergence.
        """
        if self.function is balanced_kl_divergence:
            return [(BALANCED_KL, *half) for half in self.by_temperature()]
        found = kernel_arguments(self.function, self.keywords)
        return [] if found is None else [(found[0], self.tau, *found[1:])]

    @property
    def tau_ratio(self) -> float:
        """Ratio of the teacher's temperature to the student's."""
        return 1.0 if self.tau_teacher is None else self.tau_teacher / self.tau

    def by_temperature(self) -> list[tuple[float, float, float]]:
        """Return each temperature with the weights of forward and reverse KL.

        Divergences other than balanced KL have one temperature.
        """
        forward = self.keywords.get('forward_weight', 1.0)
        reverse = self.keywords.get('reverse_weight', 1.0)
        tau_reverse = self.keywords.get('tau_reverse')
        if tau_reverse in (None, self.tau):
            return [(self.tau, forward, reverse)]
        halves = [(self.tau, forward, 0.0), (tau_reverse, 0.0, reverse)]
        return [half for half in halves if any(half[1:])]


def divergence_and_gradient_(
    student: Tensor,
    teacher: Tensor,
    options: DivergenceOptions,
    factor: Tensor | None = None,
    bounded: bool = False,
    large: bool = True,
) -> tuple[Tensor, Tensor]:
    r"""Divergence of each pixel and its gradient with respect to the student's logits.

    With the (standardized) logits z_s of the student and z_t of the teacher,
    x = z_s / tau, y = z_t / tau, q = softmax(x), p = softmax(y), d = x - y,
    M = sum_c q d, N = sum_c p d, D = logsumexp(x) - logsumexp(y), and the forward and
    reverse weights a and b, the loss at one temperature is

    .. math:: L = \tau^2 \left( a (D - N) + b (M - D) \right), \qquad
        g = dL / dz = \tau \left( a (q - p) + b q (d - M) \right)

    and through the standardization z = s / (std + eps) of centered logits s,

    .. math:: dL / ds = \frac{g}{std + eps} - \frac{z}{(C - 1) std} \sum_c g z

    With ``scale_compensated`` the factor of a pixel includes std^2, detached from the
    graph.

    Args:
        student: (..., C, P), logits of P pixels, centered: the mean over the C classes
            is 0. Overwritten.
        teacher: Centered logits of the same shape. Overwritten.
        options: Arguments of the loss.
        factor: (..., 1, P), factor of each pixel. Default: 1.
        bounded: True if exp(x) can neither overflow nor underflow for all classes.
        large: True if squares of logits may overflow.

    Returns:
        The divergence (..., 1, P) and the gradient (..., C, P).
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
    parts = []
    for tau, forward_weight, reverse_weight in temperatures:
        if tau != current_tau:
            student.mul_(current_tau / tau)
            teacher.mul_(current_tau / tau)
            current_tau = tau
        if options.function is balanced_kl_divergence:
            tau_value, tau_gradient = one_temperature(
                student,
                teacher,
                forward_weight * tau,
                reverse_weight * tau,
                gradient_factor,
                bounded,
            )
        else:
            tau_value, tau_gradient = sum_over_classes(
                student, teacher, tau, gradient_factor, options
            )
        parts.append((tau_value.mul_(tau), tau_gradient))
    value, gradient = parts[0]
    for tau_value, tau_gradient in parts[1:]:
        value.add_(tau_value)
        gradient.add_(tau_gradient)
    if factor is not None:
        value.mul_(factor)
    if options.standardize:
        # Here student is z / tau and gradient is g / (std + eps).
        projection = torch.mul(gradient, student, out=teacher).sum(
            CLASSES, keepdim=True
        )
        projection.mul_(std.reciprocal_().mul_(EPS).add_(1))
        gradient.addcmul_(
            student, projection, value=current_tau**2 / (1 - student.shape[CLASSES])
        )
    return value, gradient


def standardize_(logits: Tensor, tau: float, large: bool) -> tuple[Tensor, Tensor]:
    """Divide centered logits by (std + eps) * tau; return std and 1 / (std + eps).

    For a constant pixel, whose centered logits are all 0, these are 1 and 0.
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
    """Return the value and scaled gradient of a KL(p || q) + b KL(q || p).

    KL is the Kullback-Leibler divergence; p = softmax(y), q = softmax(x), and the
    gradient is with respect to x. The exponentials are not normalized to probabilities:
    the normalization is included in the factors per pixel, which saves two passes.
    """
    exp_x, scale_q, logsumexp_x = exponentials(x, bounded)
    exp_y, scale_p, logsumexp_y = exponentials(y, bounded)
    logsumexp_difference = logsumexp_x.sub_(logsumexp_y)
    d = x - y
    value = torch.zeros_like(logsumexp_difference)
    exp_x_d: Tensor | None = None
    q_coefficient: Tensor | float = forward_weight
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
    if exp_x_d is not None:
        gradient.addcmul_(exp_x_d, scale_q, value=reverse_weight)
    if forward_weight:
        gradient.addcmul_(exp_y, scale_p, value=-forward_weight)
    return value, gradient


def sum_over_classes(
    x: Tensor,
    y: Tensor,
    weight: float,
    gradient_factor: Tensor | None,
    options: DivergenceOptions,
) -> tuple[Tensor, Tensor]:
    """Return the weighted value and scaled gradient of another divergence.

    See :func:`one_temperature` for the arguments.
    """
    log_p, log_q = y.log_softmax(CLASSES), x.log_softmax(CLASSES)
    terms, h = CLASS_TERMS[options.function](log_p, log_q, **options.keywords)
    value = terms.sum(CLASSES, keepdim=True).mul_(weight)
    gradient = h - log_q.exp_().mul_(h.sum(CLASSES, keepdim=True))
    if gradient_factor is None:
        return value, gradient.mul_(weight)
    return value, gradient.mul_(gradient_factor * weight)


def exponentials(logits: Tensor, bounded: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return exponentials (shifted unless bounded), 1 / their sum, and logsumexp."""
    if bounded:
        powers = logits.exp()
        total = powers.sum(CLASSES, keepdim=True)
        return powers, total.reciprocal(), total.log_()
    largest = logits.amax(CLASSES, keepdim=True)
    powers = (logits - largest).exp_()
    total = powers.sum(CLASSES, keepdim=True)
    return powers, total.reciprocal(), total.log_().add_(largest)
