r"""Terms of divergences that are sums over the classes, and their derivatives.

A function of this module takes log p of the teacher and log q of the student, (..., C,
P), and the keywords of the divergence. It returns the terms v of the classes, whose sum
is the divergence D, and h, from which the gradient by the logits x of
:math:`q = softmax(x)` follows:

.. math:: dD / dx_j = h_j - q_j \sum_c h_c

h is the derivative of D by log q, less a multiple of q that is the same for all
classes: it changes nothing, and where p = q it makes h 0.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from mmkd.functional import (
    adaptive_kl_divergence,
    alpha_beta_divergence,
    entropy_balanced_kl_divergence,
    jensen_shannon_divergence,
    skew_kl_divergence,
    todi_divergence,
)
from mmkd.functional.alpha_beta import SERIES_BELOW, alpha_beta_terms
from mmkd.functional.mixture_kl import log_ratios
from mmkd.functional.weighted_kl import entropy_weights, head_share

CLASSES = -2  # class axis


def jensen_shannon(log_p: Tensor, log_q: Tensor, lam: float) -> tuple[Tensor, Tensor]:
    """With m the mixture, h = lam q log(q / m)."""
    p_to_mixture, q_to_mixture = log_ratios(log_p, log_q, lam)
    h = lam * log_q.exp() * q_to_mixture
    return (1 - lam) * log_p.exp() * p_to_mixture + h, h


def skew_kl(
    log_p: Tensor, log_q: Tensor, lam: float, reverse: bool
) -> tuple[Tensor, Tensor]:
    """With m the mixture, forward h = (1 - lam) q (1 - p / m).

    In reverse it is q (log(q / m) + lam (1 - q / m)).
    """
    if not lam:
        return balanced_kl(log_p, log_q, float(not reverse), float(reverse))
    q = log_q.exp()
    if reverse:
        _, ratio = log_ratios(log_p, log_q, lam)
        terms = q * ratio
        return terms, terms - lam * q * ratio.expm1()
    ratio, _ = log_ratios(log_p, log_q, 1 - lam)
    return log_p.exp() * ratio, (lam - 1) * q * ratio.expm1()


def todi(log_p: Tensor, log_q: Tensor) -> tuple[Tensor, Tensor]:
    """With w = p / (p + q) and r = log(q / p), h = q - p + (1 - w) q r."""
    r = log_q - log_p
    p, q = log_p.exp(), log_q.exp()
    return (q - p) * r, q - p + r.sigmoid() * q * r


def adaptive_kl(log_p: Tensor, log_q: Tensor, mu: float) -> tuple[Tensor, Tensor]:
    """Forward and reverse KL, weighted by their share of the error."""
    share = head_share(log_p, log_q, mu, CLASSES)
    return balanced_kl(log_p, log_q, share, 1 - share)


def entropy_balanced_kl(
    log_p: Tensor, log_q: Tensor, weight: float
) -> tuple[Tensor, Tensor]:
    """Forward and reverse KL, weighted by the entropies."""
    return balanced_kl(log_p, log_q, *entropy_weights(log_p, log_q, weight, CLASSES))


def balanced_kl(
    log_p: Tensor, log_q: Tensor, forward: Tensor | float, reverse: Tensor | float
) -> tuple[Tensor, Tensor]:
    """With r = log(q / p), h = a (q - p) + b q r."""
    r = log_q - log_p
    p, q = log_p.exp(), log_q.exp()
    return (reverse * q - forward * p) * r, forward * (q - p) + reverse * q * r


# By the function of mmkd.functional.
CLASS_TERMS: dict[Callable[..., Tensor], Callable[..., tuple[Tensor, Tensor]]] = {
    alpha_beta_divergence: alpha_beta_terms,
    jensen_shannon_divergence: jensen_shannon,
    skew_kl_divergence: skew_kl,
    todi_divergence: todi,
    adaptive_kl_divergence: adaptive_kl,
    entropy_balanced_kl_divergence: entropy_balanced_kl,
}

# The divergences of the Triton kernel.
BALANCED_KL, ALPHA_BETA, JENSEN_SHANNON, SKEW_KL, REVERSE_SKEW_KL, TODI = range(6)


def kernel_arguments(
    function: Callable[..., Tensor], keywords: Mapping[str, Any]
) -> tuple[int, float, float] | None:
    """Return a divergence's kind and two parameters, None if the kernel has none.

    The parameters of BALANCED_KL are the weights of both halves.
    """
    if function is alpha_beta_divergence:
        alpha, beta = keywords['alpha'], keywords['beta']
        if min(alpha, beta) < 0 or alpha + beta < SERIES_BELOW:
            return None
        return ALPHA_BETA, alpha, beta
    if function is jensen_shannon_divergence:
        return JENSEN_SHANNON, keywords['lam'], 0.0
    if function is skew_kl_divergence:
        lam, reverse = keywords['lam'], keywords['reverse']
        if not lam:
            return BALANCED_KL, float(not reverse), float(reverse)
        return REVERSE_SKEW_KL if reverse else SKEW_KL, lam, 0.0
    return (TODI, 0.0, 0.0) if function is todi_divergence else None
