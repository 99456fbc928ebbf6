"""The functions of :mod:`mmkd.ops.class_terms` for the Triton kernel."""

import triton
import triton.language as tl

from mmkd.functional.alpha_beta import SMALL as SMALL_EXPONENT

from . import class_terms

SMALL = tl.constexpr(SMALL_EXPONENT)
BALANCED_KL = tl.constexpr(class_terms.BALANCED_KL)
ALPHA_BETA = tl.constexpr(class_terms.ALPHA_BETA)
JENSEN_SHANNON = tl.constexpr(class_terms.JENSEN_SHANNON)
SKEW_KL = tl.constexpr(class_terms.SKEW_KL)
REVERSE_SKEW_KL = tl.constexpr(class_terms.REVERSE_SKEW_KL)


@triton.jit
def terms_of_classes(log_q, log_p, q, p, real, first, second, KIND: tl.constexpr):
    """Return each class's term of the divergence, and h.

    h is the derivative by log q plus a multiple of q, so that the gradient of the sum
    by the scaled logits is h - q sum_c h_c. Of a KL(p || q) + b KL(q || p), with
    r = log q - log p, a term is (b q - a p) r, and h = a (q - p) + b q r.

    q and p are 0 for padding, for which ``real`` is False. For the parameters and KIND
    see :func:`mmkd.ops.class_terms.kernel_arguments`.
    """
    r = log_q - log_p
    if KIND == BALANCED_KL:
        reverse = second * q * r
        term, h = reverse - first * p * r, first * (q - p) + reverse
    elif KIND == ALPHA_BETA:
        one = tl.full((1, 1), 1, r.dtype)  # sums of scalars are float32
        alpha, beta = one * first, one * second
        total = alpha + beta
        low, high = tl.exp(total * log_p), tl.exp(total * log_q)
        middle = tl.exp(alpha * log_p + beta * log_q)
        h = tl.where(real, _difference(middle, high, alpha, r), 0)
        term = (h - tl.where(real, _difference(low, middle, beta, r), 0)) / total
    elif KIND == JENSEN_SHANNON:
        p_to_mixture, q_to_mixture = _log_ratios(r, first)
        h = first * q * q_to_mixture
        term = (1 - first) * p * p_to_mixture + h
    elif KIND == SKEW_KL:
        p_to_mixture, _ = _log_ratios(r, 1 - first)
        term, h = p * p_to_mixture, (first - 1) * q * _expm1(p_to_mixture)
    elif KIND == REVERSE_SKEW_KL:
        _, q_to_mixture = _log_ratios(r, first)
        term = q * q_to_mixture
        h = term - first * q * _expm1(q_to_mixture)
    else:  # ToDi
        term, h = (q - p) * r, q - p + q * r / (1 + tl.exp(-r))
    return term, h


@triton.jit
def _difference(start, end, step, r):
    """Return (end - start) / step, where end is start * exp(step * r)."""
    near = start * r * _expm1_by_x(_near_0(step * r))
    far = (end - start) / tl.where(step == 0, 1, step)
    return tl.where(tl.abs(step * r) < SMALL, near, far)


@triton.jit
def _log_ratios(r, share):
    """Return log(p / m) and log(q / m) with m = (1 - share) p + share q."""
    is_lower = r <= 0
    smaller = _expm1(-tl.abs(r))
    if_lower, if_upper = _log1p(share * smaller), _log1p((1 - share) * smaller)
    return (
        -tl.where(is_lower, if_lower, r + if_upper),
        -tl.where(is_lower, if_lower - r, if_upper),
    )


@triton.jit
def _log1p(x):
    """Return log(1 + x); the quotient corrects the rounding of 1 + x."""
    sum = 1 + x
    is_1 = sum == 1
    return tl.where(is_1, x, tl.log(sum) * x / tl.where(is_1, 1, sum - 1))


@triton.jit
def _expm1(x):
    """Return exp(x) - 1 without cancellation."""
    near = _near_0(x)
    return tl.where(tl.abs(x) < SMALL, near * _expm1_by_x(near), tl.exp(x) - 1)


@triton.jit
def _near_0(x):
    """Return 0 for numbers outside the range of :func:`_expm1_by_x`."""
    return tl.where(tl.abs(x) < SMALL, x, 0)


@triton.jit
def _expm1_by_x(x):
    """Return (exp(x) - 1) / x near 0 by its series, 1 + x/2 (1 + x/3 (1 + ...))."""
    series = x * 0 + 1
    for i in tl.static_range(12):
        series = 1 + series * x / (13 - i)
    return series
