"""Multi-level logit distillation (MLKD)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .checks import at_least_float32, check_temperatures, check_weights
from .divergence import Divergence, kl_divergence
from .masking import masked_mean
from .relations import gram_distance, grid_means
from .standardize import prepare_logits

GRID = 8  # cells along a side of a map: 64 samples per image, the paper's batch
NOT_TWO_VIEWS = (
    'views=2 needs vectors, a weak view of each image and then the strong ones: use '
    'MultiView and mmkd.collate_views, or views=1'
)


def mlkd_loss(
    student: Tensor,
    teacher: Tensor,
    tau: float | None = None,
    taus: Sequence[float] = (3.0, 5.0, 2.0, 6.0),
    beta: float = 1.0,
    gamma: float = 1.0,
    views: int = 1,
    tau_teacher: float | None = None,
    standardize: bool = False,
    divergence: Divergence = kl_divergence,
    mask: Tensor | None = None,
) -> Tensor:
    r"""Predictions compared one by one, between samples, and between classes.

    With P and Q the (B, C) softened distributions of teacher and student, summed over
    several temperatures,

    .. math:: L = \sum_{\tau} \Big( \frac{1}{B} \sum_m \tau^2 D(p_m, q_m)
        + \frac{\beta}{B} \| P P^T - Q Q^T \|^2
        + \frac{\gamma}{C} \| P^T P - Q^T Q \|^2 \Big)

    A sample is a vector of (N, C). For maps the first term is the mean over the valid
    pixels; the other two are computed per image, whose samples are the cells of a grid
    of at most 8 x 8, the mean distribution of a cell's valid pixels: matrices of
    64 x 64 and C x C, whatever the size of the map. ``standardize`` applies to the
    first term only, as in LSKD.

    With two views of each image (vectors only) the losses of both are summed. The
    first half of the batch is the weakly augmented view: only the less confident half
    of its samples and the less expected half of the classes are compared. The paper's
    released code differs: it multiplies these masks into an already reduced mean, and
    computes three terms of the strong view from the weak one, or never uses them.

    Args:
        student, teacher, standardize, mask: See :mod:`mmkd.functional`.
        tau: First temperature, > 0. Default 4, or 2 if standardized, the papers'.
        taus: Other temperatures. Default 3, 5, 2 and 6, the paper's.
        beta: Weight of the relation between samples, >= 0. Default 1.
        gamma: Weight of the relation between classes, >= 0. Default 1.
        views: 2 if the batch holds a weak view of each image, then the strong ones.
            Default 1: an ordinary batch.
        tau_teacher: The teacher's temperature where the student's is ``tau``; their
            quotient holds at each temperature. Default: ``tau``.
        divergence: D; its ``tau_reverse``, if any, is the same at each temperature.

    Reference:
        Jin et al., Multi-Level Logit Distillation, CVPR 2023, section 3.

    Example:
        >>> teacher = torch.tensor([[1.0, 4.0, 3.0], [2.0, 1.0, 0.0]])
        >>> mlkd_loss(teacher.flip(1), teacher)
        tensor(5.9181)
    """
    tau = first_temperature(tau, standardize)
    check_mlkd(taus, beta, gamma, views)
    options = ((tau, *taus), tau_teacher, standardize, divergence, beta, gamma)
    if views == 1:
        return _three_levels(student, teacher, *options, mask)
    if student.ndim != 2 or len(student) % 2 or mask is not None:
        raise ValueError(NOT_TWO_VIEWS)
    (weak, strong), (weak_teacher, strong_teacher) = student.chunk(2), teacher.chunk(2)
    confidence = at_least_float32(weak_teacher).softmax(1)
    low_confidence = {
        'sample_mask': _lower_half(confidence.amax(1)),
        'class_mask': _lower_half(confidence.sum(0)),
    }
    return _three_levels(
        weak, weak_teacher, *options, **low_confidence
    ) + _three_levels(strong, strong_teacher, *options)


def first_temperature(tau: float | None, standardize: bool) -> float:
    """Return ``tau`` or its default, which depends on ``standardize``."""
    return (2.0 if standardize else 4.0) if tau is None else tau


def check_mlkd(taus: Sequence[float], beta: float, gamma: float, views: int) -> None:
    """Raise a ValueError for an argument of :func:`mlkd_loss` out of range."""
    for tau in taus:
        check_temperatures(taus=tau)
    check_weights(beta=beta, gamma=gamma)
    if views not in (1, 2):
        raise ValueError(f'views must be 1 or 2, but is {views}')


def _three_levels(
    student: Tensor,
    teacher: Tensor,
    taus: Sequence[float],
    tau_teacher: float | None,
    standardize: bool,
    divergence: Divergence,
    beta: float,
    gamma: float,
    mask: Tensor | None = None,
    sample_mask: Tensor | None = None,
    class_mask: Tensor | None = None,
) -> Tensor:
    """Sum over temperatures of the terms of instances, samples and classes.

    ``mask`` marks valid positions; the others, samples and classes to compare.
    """
    instance_mask = mask if sample_mask is None else sample_mask
    instances = prepare_logits(
        student, teacher, taus[0], tau_teacher, standardize, mask
    )
    student, teacher = prepare_logits(student, teacher, taus[0], tau_teacher, mask=mask)
    total = student.new_zeros(())
    for tau in taus:
        q, valid = _samples((student / tau).softmax(1), mask)
        p, _ = _samples((teacher / tau).softmax(1), mask)
        group_mask = None if valid is None else valid.any(1)
        between_samples = gram_distance(
            q, p, valid if sample_mask is None else sample_mask
        )
        between_classes = gram_distance(q.mT, p.mT, class_mask)
        total = total + masked_mean(divergence(*instances, tau), instance_mask)
        total = total + beta * masked_mean(between_samples, group_mask)
        total = total + gamma * masked_mean(between_classes, group_mask)
    return total


def _samples(predictions: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """A (G, B, C) matrix per group of samples, 0 if invalid, and the valid samples."""
    if predictions.ndim == 4:
        return grid_means(predictions, mask, GRID)
    if mask is None:
        return predictions[None], None  # the batch is the only group
    return torch.where(mask[:, None], predictions, 0)[None], mask[None]


def _lower_half(values: Tensor) -> Tensor:
    """Mark the values up to the median."""
    return values <= values.median()
