"""Kullback-Leibler divergences between two sets of logits."""

from torch import Tensor
from torch.nn.functional import log_softmax

from .checks import at_least_float32, check_temperature, check_weights


def kl_divergence(
    student: Tensor,
    teacher: Tensor,
    tau: float | Tensor = 1.0,
    dim: int = 1,
    reverse: bool = False,
) -> Tensor:
    r"""Kullback-Leibler divergence between softened softmaxes, per position.

    With :math:`p = softmax(t / \tau)` of the teacher and :math:`q = softmax(s / \tau)`
    of the student,

    .. math::
        \tau^2 KL(p \| q) = \tau^2 \sum_c p_c (\log p_c - \log q_c)
        \quad\text{(forward)}, \qquad
        \tau^2 KL(q \| p) \quad\text{(reverse)}.

    The factor :math:`\tau^2` keeps the size of the gradient while tau changes (Hinton
    et al., 2015, section 2). Computed from log-softmaxes: a class whose probability
    underflows contributes 0, and its gradient stays finite.

    Args:
        student: Logits, classes along ``dim``.
        teacher: Logits of the same shape.
        tau: Temperature, > 0; a tensor may carry a gradient. Default 1.
        dim: The class axis. Default 1.
        reverse: KL(student || teacher) instead of KL(teacher || student).

    Returns:
        The divergence of every position: the input's shape without ``dim``, in float32
        or better. Not reduced.

    Raises:
        ValueError: if the shapes differ or ``tau <= 0``.
        TypeError: if an input is not a floating-point tensor.

    Example:
        >>> import torch
        >>> teacher = torch.tensor([[1.0, 4.0, 3.0, 2.0]])
        >>> kl_divergence(torch.tensor([[1.0, 2.8, 3.0, 2.0]]), teacher)
        tensor([0.1749])
    """
    log_p, log_q = _log_probabilities(student, teacher, tau, dim)
    if reverse:
        log_p, log_q = log_q, log_p
    return tau**2 * (log_p.exp() * (log_p - log_q)).sum(dim)


def balanced_kl_divergence(
    student: Tensor,
    teacher: Tensor,
    tau: float | Tensor = 1.0,
    tau_reverse: float | Tensor | None = None,
    forward_weight: float = 1.0,
    reverse_weight: float = 1.0,
    dim: int = 1,
) -> Tensor:
    r"""Weighted sum of forward and reverse KL (BDD), per position.

    .. math:: a \tau^2 KL(p \| q) + b \tau_r^2 KL(q_r \| p_r)

    Forward KL hardly sees the classes to which the teacher gives tiny probabilities;
    reverse KL punishes a student for giving them more. The two halves may have softmax
    temperatures of their own.

    Args:
        student: Logits, classes along ``dim``.
        teacher: Logits of the same shape.
        tau: Temperature of the forward half, > 0. Default 1.
        tau_reverse: Temperature of the reverse half. Default: ``tau``.
        forward_weight: a, >= 0. Default 1.
        reverse_weight: b, >= 0. Default 1.
        dim: The class axis. Default 1.

    Returns:
        The divergence of every position, as :func:`kl_divergence` gives it.

    Raises:
        ValueError: if a weight is negative or both are 0, and as for
            :func:`kl_divergence`.

    Reference:
        Qi et al., Balance Divergence for Knowledge Distillation, arXiv 2501.07804.

    Example:
        >>> import torch
        >>> teacher = torch.tensor([[1.0, 4.0, 3.0, 2.0]])
        >>> balanced_kl_divergence(torch.tensor([[1.0, 2.8, 3.0, 2.0]]), teacher)
        tensor([0.3496])
    """
    check_weights(forward_weight, reverse_weight)
    if tau_reverse is None:
        tau_reverse = tau
    check_temperature(tau)  # both, by their own names, even if a weight is 0
    check_temperature(tau_reverse, 'tau_reverse')
    total = 0
    if forward_weight:
        total = forward_weight * kl_divergence(student, teacher, tau, dim)
    if reverse_weight:
        total = total + reverse_weight * kl_divergence(
            student, teacher, tau_reverse, dim, reverse=True
        )
    return total


def _log_probabilities(
    student: Tensor, teacher: Tensor, tau: float | Tensor, dim: int
) -> tuple[Tensor, Tensor]:
    """log p of the teacher and log q of the student, both softened by tau."""
    if student.shape != teacher.shape:
        raise ValueError(
            'student and teacher logits must have one shape, but have '
            f'{tuple(student.shape)} and {tuple(teacher.shape)}'
        )
    check_temperature(tau)
    return (
        log_softmax(at_least_float32(teacher) / tau, dim),
        log_softmax(at_least_float32(student) / tau, dim),
    )
