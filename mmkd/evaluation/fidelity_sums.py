"""Fidelity metrics as sums, which can be added over chunks, images and processes."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from mmkd.functional.ranks import rank_correlation

MEANS = (
    'agreement',
    'forward_kl',
    'reverse_kl',
    'rank_correlation',
    'small_probability_error',
    'std_ratio',
)


def fidelity_sums(
    student: Tensor, teacher: Tensor, target: Tensor, threshold: float, bins: int
) -> Tensor:
    """Return the sums over the positions of each group, in float64.

    See :class:`FidelityMetric` for the formulas.

    Args:
        student: Logits (G, P, C) of G groups of P positions, C >= 2 classes.
        teacher: Logits of the teacher, of the same shape.
        target: Labels (G, P).
        threshold: Probability below which a class is improbable for the teacher.
        bins: Number of bins of confidence for the calibration error.

    Returns:
        (G, 2 * len(MEANS) + 2 * bins): the sum of each of ``MEANS``, the number of
        values in each sum, and the sums of (correct - confidence) in each bin, of the
        student and then of the teacher.

    Example:
        >>> logits, target = torch.randn(2, 9, 5), torch.zeros(2, 9, dtype=torch.long)
        >>> sums = fidelity_sums(logits, logits, target, threshold=1e-3, bins=15)
        >>> sums.shape, sums[:, 0].tolist()
        (torch.Size([2, 42]), [9.0, 9.0])
    """
    student, teacher = student.double(), teacher.double()
    log_q, log_p = student.log_softmax(-1), teacher.log_softmax(-1)
    q, p = log_q.exp(), log_p.exp()
    ratio = log_p - log_q
    improbable = p < threshold
    everywhere = torch.ones_like(target, dtype=torch.bool)
    varied = ~_constant(teacher)
    ordered = varied & ~_constant(student)
    std_ratio = student.std(-1) / torch.where(varied, teacher.std(-1), 1)
    # In the order of MEANS: the value at each position, and the number of values.
    pairs = (
        (student.argmax(-1) == teacher.argmax(-1), everywhere),
        ((p * ratio).sum(-1), everywhere),
        (-(q * ratio).sum(-1), everywhere),
        (rank_correlation(student, teacher), ordered),
        (torch.where(improbable, ratio.abs(), 0).sum(-1), improbable.sum(-1)),
        (torch.where(varied, std_ratio, 0), varied),
    )
    sums = [torch.stack(column, -1).sum(1) for column in zip(*pairs, strict=True)]
    gaps = [calibration_gaps(x, target, bins) for x in (q, p)]
    return torch.cat([*sums, *gaps], 1)


def calibration_gaps(probabilities: Tensor, target: Tensor, bins: int) -> Tensor:
    """Return the sum of (correct - confidence) in each bin of confidence.

    The confidence is the largest probability. Bins are equally wide and include their
    upper edge.

    Args:
        probabilities: Probabilities (G, P, C).
        target: Labels (G, P).
        bins: Number of bins.

    Returns:
        (G, bins).

    Example:
        >>> calibration_gaps(torch.tensor([[[0.75, 0.25]]]), torch.tensor([[0]]), 2)
        tensor([[0.0000, 0.2500]])
    """
    confidence, predicted = probabilities.max(-1)
    edges = torch.linspace(0, 1, bins + 1).to(confidence)[1:-1]
    where = one_hot(torch.bucketize(confidence, edges), bins).to(confidence)
    gap = (predicted == target).to(confidence) - confidence
    # A matrix product is deterministic, unlike a scatter on a GPU.
    return (where.mT @ gap[..., None])[..., 0]


def _constant(logits: Tensor) -> Tensor:
    """Mark positions at which all classes have the same logit."""
    return (logits == logits[..., :1]).all(-1)
