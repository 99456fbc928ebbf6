"""Kullback-Leibler (KL) divergences between the softmaxes of two sets of logits."""

from collections.abc import Callable
from functools import partial

from torch import Tensor
from torch.nn.functional import log_softmax

from .checks import (
    at_least_float32,
    check_balance,
    check_pair,
    check_temperatures,
)

Divergence = Callable[..., Tensor]


def kl_divergence(
    student: Tensor,
    teacher: Tensor,
    tau: float | Tensor = 1.0,
    dim: int = 1,
    reverse: bool = False,
) -> Tensor:
    r"""Kullback-Leibler (KL) divergence at a temperature, per position.

    With :math:`p = softmax(t / \tau)` of the teacher's logits t and
    :math:`q = softmax(s / \tau)` of the student's logits s,

    .. math::
        \tau^2 KL(p \| q) = \tau^2 \sum_c p_c (\log p_c - \log q_c)
        \quad\text{(forward)}, \qquad
        \tau^2 KL(q \| p) \quad\text{(reverse)}.

    The factor :math:`\tau^2` keeps the magnitude of the gradient independent of tau
    (Hinton et al., 2015, section 2). The value is computed from log-softmaxes: a class
    whose probability underflows contributes 0, and its gradient is finite.

    Args:
        student: Logits, classes along ``dim``.
        teacher: Logits of the same shape.
        tau: Temperature, > 0; a tensor may require a gradient. Default 1.
        dim: Class axis. Default 1.
        reverse: Compute KL(student || teacher) instead of KL(teacher || student).
            Default False.

    Returns:
        The unreduced divergence of every position: the shape of the input without
        ``dim``, in float32 or better.

    Raises:
        ValueError: if the shapes differ or ``tau <= 0``.
        TypeError: if an input is not a floating-point tensor.

    Example:
        >>> import torch
        >>> teacher = torch.tensor([[1.0, 4.0, 3.0, 2.0]])
        >>> kl_divergence(torch.tensor([[1.0, 2.8, 3.0, 2.0]]), teacher)
        tensor([0.1749])
    """
    log_p, log_q = log_softmaxes(student, teacher, tau, dim)
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
    r"""Weighted sum of forward and reverse KL divergence, per position.

    The balance divergence of balance divergence distillation (BDD):

    .. math:: a \tau^2 KL(p \| q) + b \tau_r^2 KL(q_r \| p_r)

    with the softmaxes p of the teacher and q of the student at the temperature
    :math:`\tau`, and :math:`p_r`, :math:`q_r` at :math:`\tau_r`. Forward KL is nearly
    insensitive to classes to which the teacher assigns tiny probabilities; reverse KL
    penalizes a student that assigns them larger ones.

    Args:
        student: Logits, classes along ``dim``.
        teacher: Logits of the same shape.
        tau: Temperature of the forward term, > 0. Default 1.
        tau_reverse: Temperature :math:`\tau_r` of the reverse term. Default: ``tau``.
        forward_weight: Weight a of the forward term, >= 0. Default 1.
        reverse_weight: Weight b of the reverse term, >= 0. Default 1.
        dim: Class axis. Default 1.

    Returns:
        The unreduced divergence of every position, like :func:`kl_divergence`.

    Raises:
        ValueError: if a weight is negative or both are 0, and in the cases of
            :func:`kl_divergence`.

    Reference:
        Qi et al., Balance Divergence for Knowledge Distillation, arXiv 2501.07804.

    Example:
        >>> import torch
        >>> teacher = torch.tensor([[1.0, 4.0, 3.0, 2.0]])
        >>> balanced_kl_divergence(torch.tensor([[1.0, 2.8, 3.0, 2.0]]), teacher)
        tensor([0.3496])
    """
    check_balance(forward_weight, reverse_weight)
    check_temperatures(tau=tau, tau_reverse=tau_reverse)
    if not reverse_weight:
        return forward_weight * kl_divergence(student, teacher, tau, dim)
    if tau_reverse is None:
        tau_reverse = tau
    total = reverse_weight * kl_divergence(
        student, teacher, tau_reverse, dim, reverse=True
    )
    if forward_weight:
        total = total + forward_weight * kl_divergence(student, teacher, tau, dim)
    return total


def log_softmaxes(
    student: Tensor, teacher: Tensor, tau: float | Tensor, dim: int
) -> tuple[Tensor, Tensor]:
    """Check the arguments; return log p of the teacher and log q of the student."""
    check_pair(student, teacher)
    check_temperatures(tau=tau)
    return (
        log_softmax(at_least_float32(teacher) / tau, dim),
        log_softmax(at_least_float32(student) / tau, dim),
    )


def split_by_temperature(
    divergence: Divergence, tau: float | Tensor
) -> list[tuple[Divergence, float | Tensor]]:
    """Split a divergence into terms that each use a single temperature.

    Needed by losses whose logits depend on the temperature, such as DKD. A
    :func:`balanced_kl_divergence` with ``tau_reverse`` among its ``keywords`` (of
    ``functools.partial`` or :class:`mmkd.losses.BalancedKL`) is split into its forward
    and reverse terms; any other divergence is returned unchanged.

    Example:
        >>> bdd = partial(balanced_kl_divergence, tau_reverse=2.0)
        >>> [tau for _, tau in split_by_temperature(bdd, tau=4.0)]
        [4.0, 2.0]
    """
    keywords = getattr(divergence, 'keywords', {})
    tau_reverse = keywords.get('tau_reverse')
    if tau_reverse is None:
        return [(divergence, tau)]
    forward_weight = keywords.get('forward_weight', 1.0)
    reverse_weight = keywords.get('reverse_weight', 1.0)
    halves = (forward_weight, 0.0, tau), (0.0, reverse_weight, tau_reverse)
    return [
        (partial(balanced_kl_divergence, forward_weight=a, reverse_weight=b), half_tau)
        for a, b, half_tau in halves
        if a or b
    ]
