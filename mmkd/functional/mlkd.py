"""Multi-level logit distillation (MLKD)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .checks import at_least_float32, check_temperatures, check_weights
from .divergence import Divergence, kl_divergence
from .masking import masked_mean
from .relations import gram_distance, grid_means
from .standardize import prepare_logits

GRID = 8  # cells along a side of a map: 64 samples per image, as in the paper's batch
NOT_TWO_VIEWS = (
    'views=2 needs vectors, first the weak view of each image and then the strong '
    'views: use MultiView and mmkd.collate_views, or set views=1'
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
    r"""Compare predictions at the levels of instances, samples and classes.

    With P and Q the (B, C) softmaxes of teacher and student for B samples, :math:`p_m`
    and :math:`q_m` their rows, the loss is a sum over several temperatures,

    .. math:: L = \sum_{\tau} \Big( \frac{1}{B} \sum_m \tau^2 D(p_m, q_m)
        + \frac{\beta}{B} \| P P^T - Q Q^T \|^2
        + \frac{\gamma}{C} \| P^T P - Q^T Q \|^2 \Big)

    For (N, C) logits a sample is a row. For maps the first term is the mean over the
    valid pixels, and the other two are computed per image: its samples are the cells of
    a grid of at most 8 x 8, each with the mean distribution of its valid pixels. The
    matrices are therefore 64 x 64 and C x C for any map size. ``standardize`` applies
    only to the first term, as in logit standardization knowledge distillation (LSKD).

    With two views of each image (vectors only) the losses of both views are summed. The
    first half of the batch is the weakly augmented view, of which only the less
    confident half of the samples and the less probable half of the classes are
    compared. The paper's released code differs: it multiplies these masks into an
    already reduced mean, and it computes three terms of the strong view from the weak
    view or does not use them.

    Args:
        student, teacher, standardize, mask: See :mod:`mmkd.functional`.
        tau: First temperature, > 0. Default 4, or 2 if standardized, as in the papers.
        taus: Further temperatures. Default 3, 5, 2 and 6, as in the paper.
        beta: Weight of the relations between samples, >= 0. Default 1.
        gamma: Weight of the relations between classes, >= 0. Default 1.
        views: 2 if the batch contains the weak view of each image followed by the
            strong views. Default 1: an ordinary batch.
        tau_teacher: Temperature of the teacher when the student's is ``tau``; the same
            ratio applies at every temperature. Default: ``tau``.
        divergence: D; its ``tau_reverse``, if set, is the same at every temperature.

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
    return _three_levels(
        weak,
        weak_teacher,
        *options,
        sample_mask=_lower_half(confidence.amax(1)),
        class_mask=_lower_half(confidence.sum(0)),
    ) + _three_levels(strong, strong_teacher, *options)


def first_temperature(tau: float | None, standardize: bool) -> float:
    """Return ``tau``, or its default, which depends on ``standardize``."""
    return (2.0 if standardize else 4.0) if tau is None else tau


def check_mlkd(taus: Sequence[float], beta: float, gamma: float, views: int) -> None:
    """Raise an error if an argument of :func:`mlkd_loss` is out of range."""
    if not isinstance(taus, Sequence) or isinstance(taus, str):
        raise TypeError(f'taus must be a list of temperatures, but is {taus!r}')
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
    """Sum the terms of instances, samples and classes over the temperatures.

    ``mask`` marks the valid positions; ``sample_mask`` and ``class_mask`` mark the
    samples and classes to compare.
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
    """Group samples into (G, B, C), 0 where invalid, and mark the valid samples."""
    if predictions.ndim == 4:
        return grid_means(predictions, mask, GRID)
    if mask is None:
        return predictions[None], None  # the batch is the only group
    return torch.where(mask[:, None], predictions, 0)[None], mask[None]


def _lower_half(values: Tensor) -> Tensor:
    """Mark the values not above the median."""
    return values <= values.median()
