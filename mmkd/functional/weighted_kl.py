"""Forward and reverse Kullback-Leibler (KL) divergence, weighted by the predictions."""

import torch
from torch import Tensor

from .checks import check_number, check_weights
from .divergence import log_softmaxes


def todi_divergence(
    student: Tensor, teacher: Tensor, tau: float | Tensor = 1.0, dim: int = 1
) -> Tensor:
    r"""Forward and reverse KL divergence, weighted for each class; per position.

    With :math:`p = softmax(t / \tau)` of the teacher's logits t and
    :math:`q = softmax(s / \tau)` of the student's logits s,

    .. math::
        \tau^2 \sum_c \left( w_c p_c \log\frac{p_c}{q_c}
        + (1 - w_c) q_c \log\frac{q_c}{p_c} \right), \qquad
        w_c = \frac{p_c}{p_c + q_c}

    where no gradient flows through w. Classes that the student underestimates are
    raised by forward KL, those that it overestimates are lowered by reverse KL. As
    :math:`w_c p_c - (1 - w_c) q_c = p_c - q_c`, the value is that of
    :func:`balanced_kl_divergence`; the gradient differs.

    Args:
        student: Logits, classes along ``dim``.
        teacher: Logits of the same shape.
        tau: Temperature, > 0; a tensor may require a gradient. Default 1.
        dim: Class axis. Default 1.

    Returns:
        The unreduced divergence of every position, like :func:`kl_divergence`.

    Raises:
        ValueError: in the cases of :func:`kl_divergence`.

    Reference:
        Jung et al., ToDi: Token-wise Distillation via Fine-Grained Divergence Control,
        EMNLP 2025, arXiv 2505.16297, section 3.

    Example:
        >>> student = torch.tensor([[1.0, 2.8, 3.0, 2.0]])
        >>> teacher = torch.tensor([[1.0, 4.0, 3.0, 2.0]])
        >>> todi_divergence(student, teacher)
        tensor([0.3496])
    """
    log_p, log_q = log_softmaxes(student, teacher, tau, dim)
    r = log_q - log_p
    share = r.detach().sigmoid()  # 1 - w
    terms = share * log_q.exp() * r - (-r.detach()).sigmoid() * log_p.exp() * r
    return tau**2 * terms.sum(dim)


def adaptive_kl_divergence(
    student: Tensor,
    teacher: Tensor,
    tau: float | Tensor = 1.0,
    mu: float = 0.5,
    dim: int = 1,
) -> Tensor:
    r"""Adaptive KL divergence (AKL) at a temperature, per position.

    The head of a position are its most probable classes in the teacher as long as their
    cumulative probability is at most :math:`\mu`, and the most probable class in any
    case; the tail are the others. With :math:`p = softmax(t / \tau)` of the teacher's
    logits t and :math:`q = softmax(s / \tau)` of the student's logits s,

    .. math::
        \tau^2 \left( w KL(p \| q) + (1 - w) KL(q \| p) \right), \qquad
        w = \frac{\sum_{head} |p_c - q_c|}{\sum_c |p_c - q_c|}

    where no gradient flows through w: forward KL learns the head first, reverse KL the
    tail.

    Args:
        student: Logits, classes along ``dim``.
        teacher: Logits of the same shape.
        tau: Temperature, > 0; a tensor may require a gradient. Default 1.
        mu: :math:`\mu`, from 0 to 1. Default 0.5, as published.
        dim: Class axis. Default 1.

    Returns:
        The unreduced divergence of every position, like :func:`kl_divergence`.

    Raises:
        ValueError: unless 0 <= ``mu`` <= 1, and in the cases of :func:`kl_divergence`.

    Reference:
        Wu et al., Rethinking Kullback-Leibler Divergence in Knowledge Distillation for
        Large Language Models, COLING 2025, arXiv 2404.02657, section 4.

    Example:
        >>> student = torch.tensor([[1.0, 2.8, 3.0, 2.0]])
        >>> teacher = torch.tensor([[1.0, 4.0, 3.0, 2.0]])
        >>> adaptive_kl_divergence(student, teacher)
        tensor([0.1748])
    """
    check_head(mu)
    log_p, log_q = log_softmaxes(student, teacher, tau, dim)
    share = head_share(log_p.detach(), log_q.detach(), mu, dim)
    return tau**2 * weighted_sum(log_p, log_q, share, 1 - share, dim)


def entropy_balanced_kl_divergence(
    student: Tensor,
    teacher: Tensor,
    tau: float | Tensor = 1.0,
    weight: float = 3.0,
    dim: int = 1,
) -> Tensor:
    r"""Forward and reverse KL divergence, weighted by entropy, per position.

    The balanced divergence of BD-KD: with :math:`p = softmax(t / \tau)` of the
    teacher's logits t, :math:`q = softmax(s / \tau)` of the student's logits s, and the
    entropy H,

    .. math::
        \tau^2 \left( a KL(p \| q) + b KL(q \| p) \right), \qquad
        a = w \text{ if } H(p) > H(q) \text{ else } 1, \quad
        b = w \text{ if } H(q) > H(p) \text{ else } 1

    Reverse KL makes an uncertain student more confident, forward KL an overconfident
    one less.

    Args:
        student: Logits, classes along ``dim``.
        teacher: Logits of the same shape.
        tau: Temperature, > 0; a tensor may require a gradient. Default 1.
        weight: w, >= 0. Default 3, as in ABKD's implementation of BD-KD.
        dim: Class axis. Default 1.

    Returns:
        The unreduced divergence of every position, like :func:`kl_divergence`.

    Raises:
        ValueError: if ``weight`` is negative, and in the cases of
            :func:`kl_divergence`.

    Reference:
        Amara et al., BD-KD: Balancing the Divergences for Online Knowledge
        Distillation, arXiv 2212.12965, section 3.

    Example:
        >>> student = torch.tensor([[1.0, 2.8, 3.0, 2.0]])
        >>> teacher = torch.tensor([[1.0, 4.0, 3.0, 2.0]])
        >>> entropy_balanced_kl_divergence(student, teacher)
        tensor([0.6989])
    """
    check_weights(weight=weight)
    log_p, log_q = log_softmaxes(student, teacher, tau, dim)
    forward, reverse = entropy_weights(log_p, log_q, weight, dim)
    return tau**2 * weighted_sum(log_p, log_q, forward, reverse, dim)


def check_head(mu: float) -> None:
    """Raise an error unless ``mu`` is a number from 0 to 1."""
    check_number('mu', mu)
    if not 0 <= mu <= 1:
        raise ValueError(f'mu must be >= 0 and <= 1, but is {mu}')


def head_share(log_p: Tensor, log_q: Tensor, mu: float, dim: int) -> Tensor:
    """Return the head's share of the error, of size 1 along ``dim``; 0 if p = q."""
    p, order = log_p.exp().sort(dim, descending=True)
    error = (p - log_q.exp().gather(dim, order)).abs()
    is_head = p.cumsum(dim) <= mu
    is_head.narrow(dim, 0, 1).fill_(True)
    total = error.sum(dim, keepdim=True)
    head = torch.where(is_head, error, 0).sum(dim, keepdim=True)
    return head / torch.where(total > 0, total, 1)


def entropy_weights(
    log_p: Tensor, log_q: Tensor, weight: float, dim: int
) -> tuple[Tensor, Tensor]:
    """Return the weights of forward and reverse KL, of size 1 along ``dim``."""
    negative = [(x.exp() * x).sum(dim, keepdim=True) for x in (log_p, log_q)]
    one = torch.ones_like(negative[0])
    teacher, student = negative
    return (
        torch.where(teacher < student, weight, one),
        torch.where(student < teacher, weight, one),
    )


def weighted_sum(
    log_p: Tensor, log_q: Tensor, forward: Tensor, reverse: Tensor, dim: int
) -> Tensor:
    """Sum of KL(p || q) and KL(q || p), each with a weight per position.

    The weights have size 1 along ``dim``.
    """
    terms = reverse * log_q.exp() - forward * log_p.exp()
    return (terms * (log_q - log_p)).sum(dim)
