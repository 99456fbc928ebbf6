"""Alpha-beta divergence between the softmaxes of two sets of logits."""

import math

import torch
from torch import Tensor

from .checks import check_number
from .divergence import log_softmaxes

# Below this, differences of exponentials are computed from their exponents' difference.
SMALL = 0.5
# Below this, the second difference is computed from its series.
SERIES_BELOW = 1e-4


def alpha_beta_divergence(
    student: Tensor,
    teacher: Tensor,
    alpha: float,
    beta: float,
    tau: float | Tensor = 1.0,
    dim: int = 1,
) -> Tensor:
    r"""Alpha-beta divergence at a temperature, per position.

    With :math:`p = softmax(t / \tau)` of the teacher's logits t and
    :math:`q = softmax(s / \tau)` of the student's logits s,

    .. math::
        \tau^2 D = -\frac{\tau^2}{\alpha \beta} \sum_c \left(
        p_c^\alpha q_c^\beta - \frac{\alpha}{\alpha + \beta} p_c^{\alpha + \beta}
        - \frac{\beta}{\alpha + \beta} q_c^{\alpha + \beta} \right)

    (1, 0) is the forward Kullback-Leibler (KL) divergence, (0, 1) reverse KL, (1, 1)
    half the squared distance of p and q, and alpha + beta = 1 the alpha divergences.
    With :math:`r = \log(q / p)`, the limits, which are exact, are

    .. math::
        D_{0, \beta} = \sum_c \frac{\beta q_c^\beta r_c - q_c^\beta + p_c^\beta}
        {\beta^2}, \quad
        D_{\alpha, 0} = \sum_c \frac{q_c^\alpha - p_c^\alpha - \alpha p_c^\alpha r_c}
        {\alpha^2}, \quad
        D_{\alpha, -\alpha} = \sum_c \frac{\alpha r_c + (p_c / q_c)^\alpha - 1}
        {\alpha^2}, \quad
        D_{0, 0} = \sum_c \frac{r_c^2}{2}

    (The released code of ABKD divides by alpha or beta, not by its square.) The
    gradient is
    :math:`dD / ds_j = (h_j - q_j \sum_c h_c) / \tau` with
    :math:`h = (q^{\alpha + \beta} - p^\alpha q^\beta) / \alpha`. Larger alpha
    concentrates on the classes in which p and q differ most, larger beta on those of
    which the student is confident.

    Neither form cancels near a limit. For alpha, beta >= 0, not both 0, value and
    gradient are finite like those of :func:`kl_divergence`. Otherwise a class whose
    probability underflows can make them infinite or NaN.

    To use it as the ``divergence`` of a loss, give :class:`mmkd.losses.AlphaBeta`.

    Args:
        student: Logits, classes along ``dim``.
        teacher: Logits of the same shape.
        alpha: Exponent of the teacher's probabilities, finite. ABKD uses 0.8 with a
            beta of 0.3 on CIFAR-100, and 0.9 with 0.3 on standardized logits.
        beta: Exponent of the student's probabilities, finite.
        tau: Temperature, > 0; a tensor may require a gradient. Default 1.
        dim: Class axis. Default 1.

    Returns:
        The unreduced divergence of every position, like :func:`kl_divergence`.

    Raises:
        ValueError: if ``alpha`` or ``beta`` is infinite or NaN, and in the cases of
            :func:`kl_divergence`.

    Reference:
        Cichocki et al., Generalized Alpha-Beta Divergences, Entropy 2011; Wang et al.,
        ABKD: Pursuing a Proper Allocation of the Probability Mass in Knowledge
        Distillation via alpha-beta-Divergence, ICML 2025, section 4.

    Example:
        >>> teacher = torch.tensor([[1.0, 4.0, 3.0, 2.0]])
        >>> student = torch.tensor([[1.0, 2.8, 3.0, 2.0]])
        >>> alpha_beta_divergence(student, teacher, alpha=1.0, beta=0.0)
        tensor([0.1749])
        >>> alpha_beta_divergence(student, teacher, alpha=0.8, beta=0.3)
        tensor([0.1558])
    """
    check_exponents(alpha, beta)
    log_p, log_q = log_softmaxes(student, teacher, tau, dim)
    values, _ = alpha_beta_terms(log_p, log_q, alpha, beta)
    return tau**2 * values.sum(dim)


def check_exponents(alpha: float, beta: float) -> None:
    """Raise an error unless both exponents are finite numbers."""
    for name, value in (('alpha', alpha), ('beta', beta)):
        check_number(name, value)
        if not math.isfinite(value):
            raise ValueError(f'{name} must be finite, but is {value}')


def alpha_beta_terms(
    log_p: Tensor, log_q: Tensor, alpha: float, beta: float
) -> tuple[Tensor, Tensor]:
    r"""Term of each class in the sum, and h, its derivative by log q.

    :math:`p^{\alpha + \beta} e^{x r}` at x = 0, beta and alpha + beta is
    :math:`p^{\alpha + \beta}`, :math:`p^\alpha q^\beta` and
    :math:`q^{\alpha + \beta}`. The term is the second divided difference of this
    function of x at these points; it is computed from the first ones of neighboring
    points, such that the division is by the largest of the three distances.
    """
    total = alpha + beta
    r = log_q - log_p
    low = (total * log_p).exp()
    middle = (alpha * log_p + beta * log_q).exp()
    high = (total * log_q).exp()
    h = _difference(middle, high, alpha, r)
    if not alpha and not beta:
        return h * r / 2, h
    if abs(total) >= max(abs(alpha), abs(beta)):
        terms, largest = h - _difference(low, middle, beta, r), total
    elif abs(beta) > abs(alpha):
        terms, largest = h - _difference(low, high, total, r), beta
    else:
        terms = _difference(low, high, total, r) - _difference(low, middle, beta, r)
        largest = alpha
    terms = terms / largest
    if abs(largest) < SERIES_BELOW:
        # The first differences cancel, too: expand in r.
        is_small = (largest * r).abs() < SERIES_BELOW
        x = torch.where(is_small, r, 0)
        square = total**2 + total * beta + beta**2
        series = 1 + (total + beta) / 3 * x + square / 12 * x**2
        terms = torch.where(is_small, low * x**2 / 2 * series, terms)
    return terms, h


def _difference(start: Tensor, end: Tensor, step: float, r: Tensor) -> Tensor:
    """(end - start) / step, where end is start * exp(step * r), without cancellation.

    ``start`` may underflow where ``end`` does not.
    """
    if not step:
        return start * r
    exponent = step * r
    near = start * exponent.clamp(-SMALL, SMALL).expm1() / step
    return torch.where(exponent.abs() < SMALL, near, (end - start) / step)
