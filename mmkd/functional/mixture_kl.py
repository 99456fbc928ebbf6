"""Kullback-Leibler (KL) divergences from a mixture of teacher and student."""

import torch
from torch import Tensor

from .checks import check_number
from .divergence import kl_divergence, log_softmaxes


def jensen_shannon_divergence(
    student: Tensor,
    teacher: Tensor,
    tau: float | Tensor = 1.0,
    lam: float = 0.5,
    dim: int = 1,
) -> Tensor:
    r"""Jensen-Shannon divergence at a temperature, per position.

    With :math:`p = softmax(t / \tau)` of the teacher's logits t,
    :math:`q = softmax(s / \tau)` of the student's logits s, and the
    Kullback-Leibler (KL) divergences from their mixture m,

    .. math::
        m = (1 - \lambda) p + \lambda q, \qquad
        \tau^2 \left( \lambda KL(q \| m) + (1 - \lambda) KL(p \| m) \right)

    It is symmetric for :math:`\lambda = 1/2`, and at most :math:`\tau^2 \log 2`: a
    position in which the networks disagree entirely contributes little gradient.

    Args:
        student: Logits, classes along ``dim``.
        teacher: Logits of the same shape.
        tau: Temperature, > 0; a tensor may require a gradient. Default 1.
        lam: :math:`\lambda`, share of the student in the mixture, between 0 and 1. For
            small values the divergence tends to :math:`\lambda` times forward KL, for
            values near 1 to :math:`1 - \lambda` times reverse KL. Default 0.5.
        dim: Class axis. Default 1.

    Returns:
        The unreduced divergence of every position, like :func:`kl_divergence`.

    Raises:
        ValueError: unless 0 < ``lam`` < 1, and in the cases of :func:`kl_divergence`.

    Reference:
        Lin, Divergence Measures Based on the Shannon Entropy, 1991, section 4; Agarwal
        et al., On-Policy Distillation of Language Models, ICLR 2024, section 2.

    Example:
        >>> student = torch.tensor([[1.0, 2.8, 3.0, 2.0]])
        >>> teacher = torch.tensor([[1.0, 4.0, 3.0, 2.0]])
        >>> jensen_shannon_divergence(student, teacher)
        tensor([0.0431])
    """
    check_mixture(lam)
    log_p, log_q = log_softmaxes(student, teacher, tau, dim)
    p_to_mixture, q_to_mixture = log_ratios(log_p, log_q, lam)
    terms = (1 - lam) * log_p.exp() * p_to_mixture + lam * log_q.exp() * q_to_mixture
    return tau**2 * terms.sum(dim)


def skew_kl_divergence(
    student: Tensor,
    teacher: Tensor,
    tau: float | Tensor = 1.0,
    lam: float = 0.1,
    reverse: bool = False,
    dim: int = 1,
) -> Tensor:
    r"""Skewed Kullback-Leibler (KL) divergence at a temperature, per position.

    With :math:`p = softmax(t / \tau)` of the teacher's logits t and
    :math:`q = softmax(s / \tau)` of the student's logits s,

    .. math::
        \tau^2 KL(p \| \lambda p + (1 - \lambda) q) \quad\text{(forward)}, \qquad
        \tau^2 KL(q \| (1 - \lambda) p + \lambda q) \quad\text{(reverse)}.

    Unlike KL it is bounded, by :math:`\tau^2 \log(1 / \lambda)`, and so is the
    influence of a class that one network excludes and the other does not.

    Args:
        student: Logits, classes along ``dim``.
        teacher: Logits of the same shape.
        tau: Temperature, > 0; a tensor may require a gradient. Default 1.
        lam: :math:`\lambda`, share of the first distribution in the mixture, >= 0
            (which is KL) and < 1. Default 0.1, as published.
        reverse: Start from the student's distribution. Default False.
        dim: Class axis. Default 1.

    Returns:
        The unreduced divergence of every position, like :func:`kl_divergence`.

    Raises:
        ValueError: unless 0 <= ``lam`` < 1, and in the cases of :func:`kl_divergence`.

    Reference:
        Ko et al., DistiLLM: Towards Streamlined Distillation for Large Language Models,
        ICML 2024, section 3.1.

    Example:
        >>> student = torch.tensor([[1.0, 2.8, 3.0, 2.0]])
        >>> teacher = torch.tensor([[1.0, 4.0, 3.0, 2.0]])
        >>> skew_kl_divergence(student, teacher)
        tensor([0.1402])
    """
    check_skew(lam)
    if not lam:
        return kl_divergence(student, teacher, tau, dim, reverse)
    log_p, log_q = log_softmaxes(student, teacher, tau, dim)
    if reverse:
        log_p, log_q = log_q, log_p
    ratio, _ = log_ratios(log_p, log_q, 1 - lam)
    return tau**2 * (log_p.exp() * ratio).sum(dim)


def check_mixture(lam: float) -> None:
    """Raise an error unless ``lam`` is a number between 0 and 1."""
    check_number('lam', lam)
    if not 0 < lam < 1:
        raise ValueError(f'lam must be > 0 and < 1, but is {lam}')


def check_skew(lam: float) -> None:
    """Raise an error unless ``lam`` is a number, >= 0 and < 1."""
    check_number('lam', lam)
    if not 0 <= lam < 1:
        raise ValueError(f'lam must be >= 0 and < 1, but is {lam}')


def log_ratios(log_p: Tensor, log_q: Tensor, lam: float) -> tuple[Tensor, Tensor]:
    """Return log(p / m) and log(q / m) with m = (1 - lam) p + lam q.

    Without logarithms of probabilities that underflow, and exactly 0 where p = q.
    """
    r = log_q - log_p
    is_lower = r <= 0
    # Not clamp, whose derivative at 0 depends on the version of PyTorch.
    if_lower = (lam * torch.where(is_lower, r, 0).expm1()).log1p()  # log(m / p)
    if_upper = ((1 - lam) * torch.where(is_lower, 0, -r).expm1()).log1p()  # log(m / q)
    return (
        -torch.where(is_lower, if_lower, r + if_upper),
        -torch.where(is_lower, if_lower - r, if_upper),
    )
