"""Knowledge distillation (KD), also with a curriculum temperature (CTKD)."""

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
    r"""Mean divergence between the class distributions of teacher and student.

    With :math:`p = softmax(t / \tau)` and :math:`q = softmax(s / \tau)` over the
    classes, the mean over the M valid positions with weights :math:`w_m` is

    .. math:: L = \frac{1}{M} \sum_m w_m \tau^2 D(p_m, q_m)

    * Knowledge distillation (KD): the defaults, with D the Kullback-Leibler (KL)
      divergence KL(p || q).
    * Logit standardization (LSKD): ``standardize=True`` replaces s and t by their
      Z-scores.
    * Balance divergence distillation (BDD): ``divergence=balanced_kl_divergence``,
      D = a KL(p || q) + b KL(q || p).

    The gradient of a standardized loss is proportional to 1/std of the student's
    logits, so a useful ``loss_weight`` (about std/tau) needs a warm-up or
    ``scale_compensated``. Standardizing s at tau equals dividing s by the temperature
    :math:`\tau \sigma`, where :math:`\sigma` is the standard deviation (std) of the
    student's logits at a position. The scale-compensated loss uses the square of this
    temperature as its factor, which makes the gradient independent of 1/std:

    .. math:: L = \frac{1}{M} \sum_m w_m (\tau \sigma_m)^2 D(p_m, q_m)

    Args:
        student, teacher, tau, tau_teacher, standardize, divergence, mask, weight: See
            :mod:`mmkd.functional`.
        scale_compensated: Include the factor :math:`\sigma_m^2`, detached from the
            graph; requires ``standardize``. Not part of LSKD. Default False.

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
    r"""Learnable temperature, trained adversarially.

    .. math:: \tau = t_{start} + t_{end} \, \mathrm{sigmoid}(\theta)

    The gradient that reaches :math:`\theta` is multiplied by :math:`-\lambda`, so that
    :math:`\theta` maximizes the loss that the student minimizes.

    Args:
        theta: Scalar parameter.
        strength: :math:`\lambda`, >= 0. Default 1.
        t_start: Lowest temperature. Default 1, as in the paper.
        t_end: Range of the temperature above ``t_start``. Default 20, as in the paper.

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
    """:func:`kd_loss` at the :func:`curriculum_temperature`, including factor tau^2.

    Args:
        student, teacher, standardize, divergence, mask, weight: See
            :mod:`mmkd.functional`.
        theta, strength, t_start, t_end: See :func:`curriculum_temperature`. The paper
            initializes theta to 1 and increases ``strength`` from 0 to 1 along a half
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
    """Raise a ValueError for scale compensation without standardization."""
    if scale_compensated and not standardize:
        raise ValueError(
            'scale_compensated=True needs standardize=True: plain logits keep their '
            'scale, so there is nothing to compensate; set standardize=True or remove '
            'scale_compensated'
        )
