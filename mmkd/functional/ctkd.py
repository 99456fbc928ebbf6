"""Curriculum temperature for knowledge distillation (CTKD)."""

from torch import Tensor

from .divergence import Divergence, kl_divergence
from .kd import kd_loss


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
        student: Logits, (N, C) or (N, C, H, W).
        teacher: Logits of the same shape.
        theta: Scalar, learnable; the paper starts at 1.
        strength: Factor of theta's reversed gradient, >= 0. Default 1. The paper
            increases it from 0 to 1 on a half cosine over the first epochs.
        t_start: Lowest temperature. Default 1.
        t_end: Range of the temperature above ``t_start``. Default 20.
        standardize: See :func:`kd_loss`; likewise the other arguments.
        divergence: Default :func:`kl_divergence`.
        mask: Boolean, valid positions. Default: all.
        weight: Factor of each position. Default: 1.

    Returns:
        A scalar.

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
