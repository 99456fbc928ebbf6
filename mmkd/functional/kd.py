"""Knowledge distillation (KD), and with a curriculum temperature (CTKD)."""

from torch import Tensor

from .checks import at_least_float32
from .divergence import Divergence, kl_divergence
from .masking import masked_mean, zero_invalid
from .standardize import prepare_logits


def kd_loss(
    student: Tensor,
    teacher: Tensor,
    tau: float | Tensor = 1.0,
    tau_teacher: float | None = None,
    standardize: bool = False,
    divergence: Divergence = kl_divergence,
    scale_compensated: bool = False,
    mask: Tensor | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    r"""Divergence between the softened class distributions of teacher and student.

    With :math:`p = softmax(t / \tau)` and :math:`q = softmax(s / \tau)` over the
    classes, the mean over the M valid positions

    .. math:: L = \frac{1}{M} \sum_m w_m \tau^2 D(p_m, q_m)

    * KD: the defaults, D = KL(p || q).
    * LSKD: ``standardize=True``, s and t replaced by their Z-scores.
    * BDD: ``divergence=balanced_kl_divergence``, D = a KL(p || q) + b KL(q || p).

    The gradient of a standardized loss is proportional to 1/std of the student's
    logits: a useful ``loss_weight`` (about std/tau) needs a warm-up or
    ``scale_compensated``. The Z-score at tau is s at the temperature
    :math:`\tau \sigma`, with :math:`\sigma` the std of the student's logits at a
    position; the square of this temperature makes the gradient independent of 1/std:

    .. math:: L = \frac{1}{M} \sum_m w_m (\tau \sigma_m)^2 D(p_m, q_m)

    Args:
        student, teacher, tau, tau_teacher, standardize, divergence, mask, weight: See
            :mod:`mmkd.functional`.
        scale_compensated: Include the factor :math:`\sigma_m^2`, without a gradient;
            with ``standardize`` only. Not in LSKD. Default False.

    Reference:
        Hinton et al., Distilling the Knowledge in a Neural Network, 2015, section 2;
        Sun et al., Logit Standardization in Knowledge Distillation, CVPR 2024;
        Qi et al., Balance Divergence for Knowledge Distillation, arXiv 2501.07804.

    Example:
        >>> import torch
        >>> student = torch.tensor([[1.0, 2.8, 3.0, 2.0]])
        >>> teacher = torch.tensor([[1.0, 4.0, 3.0, 2.0]])
        >>> kd_loss(student, teacher, standardize=True)
        tensor(0.0995)
    """
    check_compensation(scale_compensated, standardize)
    z_student, z_teacher = prepare_logits(
        student, teacher, tau, tau_teacher, standardize, mask
    )
    values = divergence(z_student, z_teacher, tau)
    if scale_compensated:
        student = zero_invalid(at_least_float32(student).detach(), mask)
        values = student.var(1) * values
    return masked_mean(values, mask, weight)


def curriculum_temperature(
    theta: Tensor, strength: float = 1.0, t_start: float = 1.0, t_end: float = 20.0
) -> Tensor:
    r"""Learnable temperature, trained against the student.

    .. math:: \tau = t_{start} + t_{end} \, \mathrm{sigmoid}(\theta)

    The gradient that reaches theta is multiplied by :math:`-\lambda`: theta maximizes
    the loss that the student minimizes.

    Args:
        theta: Scalar.
        strength: :math:`\lambda`, >= 0. Default 1.
        t_start: Lowest temperature. Default 1, the paper's.
        t_end: Range of the temperature above ``t_start``. Default 20, the paper's.

    Returns:
        A scalar.

    Example:
        >>> import torch
        >>> curriculum_temperature(torch.tensor(1.0))
        tensor(15.6212)
    """
    reversed_theta = (1 + strength) * theta.detach() - strength * theta
    return t_start + t_end * reversed_theta.sigmoid()


def ctkd_loss(
    student: Tensor,
    teacher: Tensor,
    theta: Tensor,
    strength: float = 1.0,
    t_start: float = 1.0,
    t_end: float = 20.0,
    standardize: bool = False,
    divergence: Divergence = kl_divergence,
    mask: Tensor | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """:func:`kd_loss` at the :func:`curriculum_temperature`, factor tau^2 included.

    Args:
        student, teacher, standardize, divergence, mask, weight: See
            :mod:`mmkd.functional`.
        theta, strength, t_start, t_end: See :func:`curriculum_temperature`. The paper
            starts with theta = 1, and increases ``strength`` from 0 to 1 on a half
            cosine over the first epochs.

    Reference:
        Li et al., Curriculum Temperature for Knowledge Distillation, AAAI 2023,
        sections 3.2 and 3.3.

    Example:
        >>> import torch
        >>> teacher = torch.tensor([[1.0, 4.0, 3.0, 2.0]])
        >>> ctkd_loss(teacher.flip(1), teacher, theta=torch.tensor(1.0))
        tensor(0.4998)
    """
    tau = curriculum_temperature(theta, strength, t_start, t_end)
    return kd_loss(
        student,
        teacher,
        tau,
        standardize=standardize,
        divergence=divergence,
        mask=mask,
        weight=weight,
    )


def check_compensation(scale_compensated: bool, standardize: bool) -> None:
    """Raise a ValueError for scale compensation of logits that keep their scale."""
    if scale_compensated and not standardize:
        raise ValueError(
            'scale_compensated=True needs standardize=True: plain logits keep their '
            'scale, and there is nothing to compensate'
        )
