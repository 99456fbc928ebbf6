"""Knowledge distillation (KD), per sample or per pixel."""

from torch import Tensor

from .checks import at_least_float32
from .divergence import Divergence, kl_divergence
from .masking import masked_mean
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
        student: Logits, (N, C) or (N, C, H, W).
        teacher: Logits of the same shape.
        tau: Temperature, > 0. Default 1.
        tau_teacher: The teacher's own temperature (LSKD, section 4.1). Default:
            ``tau``.
        standardize: Z-score the logits first, see :func:`standardize`. Default False.
        divergence: D; :func:`kl_divergence` by default.
        scale_compensated: The factor :math:`\sigma_m^2`, without a gradient; with
            ``standardize`` only. Not in LSKD. Default False.
        mask: Boolean (N,) or (N, H, W), valid positions. Default: all.
        weight: w, (N,) or (N, H, W), such as :func:`class_balance`. Default: 1.

    Returns:
        A scalar; 0 if no position is valid.

    Raises:
        ValueError: for different shapes, a temperature <= 0, fewer than 3 classes to
            standardize, or ``scale_compensated`` without ``standardize``.

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
        student, teacher, tau, tau_teacher, standardize
    )
    values = divergence(z_student, z_teacher, tau)
    if scale_compensated:
        values = at_least_float32(student).detach().var(1) * values
    return masked_mean(values, mask, weight)


def check_compensation(scale_compensated: bool, standardize: bool) -> None:
    """Raise a ValueError for scale compensation of logits that keep their scale."""
    if scale_compensated and not standardize:
        raise ValueError(
            'scale_compensated=True needs standardize=True: other logits keep their '
            'scale'
        )
