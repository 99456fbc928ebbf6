"""Logit standardization (LSKD), and preparation of logits for the losses."""

import torch
from torch import Tensor

from .checks import (
    at_least_float32,
    check_classes,
    check_pair,
    check_temperatures,
)
from .masking import zero_invalid

# Squares of logits above this come close to the largest float32 number.
LARGE = 1e15


def standardize(logits: Tensor, dim: int = 1, eps: float = 1e-7) -> Tensor:
    r"""Z-score logits along the softmax axis.

    .. math:: z(x) = (x - \bar x) / (\sigma(x) + \epsilon)

    with the mean :math:`\bar x` and the sample standard deviation :math:`\sigma`
    (ddof = 1): the algorithm in the LSKD paper divides by C, but its published figures
    and its code divide by C - 1. The result has mean 0, standard deviation 1 and the
    order of the input, and :math:`|z| \le (C - 1) / \sqrt C`.

    A constant vector becomes 0 and gets a zero gradient instead of one of magnitude
    :math:`1/\epsilon`.

    Args:
        logits: Scores of any shape with ``C >= 3`` entries along ``dim``.
        dim: Softmax axis. Default 1, the class axis of (N, C) and (N, C, H, W).
        eps: :math:`\epsilon`, added to the standard deviation. Default 1e-7, as
            published.

    Returns:
        A tensor of the same shape in float32 or better.

    Raises:
        ValueError: if ``dim`` has fewer than 3 entries. With two, z is +-1/sqrt(2) for
            any logits, and there is nothing to learn.

    Reference:
        Sun et al., Logit Standardization in Knowledge Distillation, CVPR 2024,
        sections 4.2 and 4.3.

    Example:
        >>> standardize(torch.tensor([[1.0, 4.0, 3.0, 2.0]]))
        tensor([[-1.1619,  1.1619,  0.3873, -0.3873]])
    """
    check_classes(logits, dim)
    return zscore(logits, dim, eps)


def prepare_logits(
    student: Tensor,
    teacher: Tensor,
    tau: float | Tensor = 1.0,
    tau_teacher: float | None = None,
    standardize: bool = False,
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Prepare logits for a divergence at ``tau``.

    Casts them to float32 or better, sets them to 0 at invalid positions and
    standardizes them on request. The teacher's logits are scaled by
    ``tau / tau_teacher``: their softmax at ``tau`` is that of the original logits at
    ``tau_teacher``. See :mod:`mmkd.functional` for the arguments.

    Example:
        >>> logits = torch.tensor([[1.0, 2.0, 3.0]])
        >>> prepare_logits(logits, logits, tau=4.0, tau_teacher=2.0)
        (tensor([[1., 2., 3.]]), tensor([[2., 4., 6.]]))
    """
    check_pair(student, teacher)
    check_temperatures(tau=tau, tau_teacher=tau_teacher)
    student, teacher = (
        zero_invalid(at_least_float32(logits), mask) for logits in (student, teacher)
    )
    if standardize:
        check_classes(student)
        student, teacher = zscore(student, dim=1), zscore(teacher, dim=1)
    if tau_teacher is not None:
        teacher = teacher * (tau / tau_teacher)
    return student, teacher


def zscore(
    logits: Tensor, dim: int, eps: float = 1e-7, mask: Tensor | None = None
) -> Tensor:
    """Standardize over the valid entries only, for any number of entries.

    Args:
        logits: Scores.
        dim: Axis of the mean and the standard deviation.
        eps: Added to the standard deviation.
        mask: Boolean, valid entries; broadcasts to ``logits``. Default: all.

    Returns:
        Standardized scores, 0 at invalid entries.
    """
    return zscore_and_std(logits, dim, eps, mask)[0]


def zscore_and_std(
    logits: Tensor, dim: int, eps: float = 1e-7, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """:func:`zscore`, and the standard deviation; 0 for constant vectors.

    The latter keeps ``dim``, of length 1.
    """
    logits = at_least_float32(logits)
    # z is invariant to a common shift. Subtracting one valid entry first makes constant
    # vectors exactly 0; subtracting the mean alone would leave rounding errors, which
    # the division would amplify.
    if mask is None:
        count: int | Tensor = max(logits.shape[dim], 2)
        shift = logits.narrow(dim, 0, 1)
    else:
        mask = mask.expand_as(logits)
        count = mask.sum(dim, keepdim=True).clamp(min=2)  # a single entry becomes 0 / 1
        shift = logits.gather(dim, mask.int().argmax(dim, keepdim=True))

    def valid_only(values: Tensor) -> Tensor:
        return values if mask is None else torch.where(mask, values, 0)

    logits = valid_only(logits - shift.detach())
    # z is invariant to a common scale, too.
    largest = logits.detach().abs().amax(dim, keepdim=True)
    scale = torch.where(largest > LARGE, largest, 1)
    logits = logits / scale
    centered = valid_only(logits - logits.sum(dim, keepdim=True) / count)
    variance = centered.square().sum(dim, keepdim=True) / (count - 1)
    # sqrt has an infinite derivative at 0: replace the variance of constant vectors.
    constant = variance == 0
    std = torch.where(constant, 1, variance).sqrt()
    scores = centered / torch.where(constant, torch.inf, std + eps / scale)
    return scores, scale * torch.where(constant, 0, std)
