"""Similarities between the positions of a feature map."""

import torch
from torch import Tensor

from .attention_transfer import check_maps
from .checks import at_least_float32, check_not_empty
from .divergence import kl_divergence
from .masking import EXCLUDED
from .relations import gram_distance, grid_means, unit_vectors


def similarity_loss(
    student: Tensor,
    teacher: Tensor,
    side: int = 16,
    temperature: float | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    r"""Difference between the similarities of positions within each image.

    Each map is averaged over the valid positions of the cells of a grid of at most
    ``side`` x ``side``; :math:`a_{ij}` is the cosine of the features of cells i and j.
    Over the R cells of each image that have a valid position,

    .. math:: L = \frac{1}{R^2} \sum_{i,j} (a^s_{ij} - a^t_{ij})^2

    or, with a temperature :math:`\tau`, and p and q the softmax of :math:`a_{ij} /
    \tau` over the other cells j for teacher and student,

    .. math:: L = \frac{1}{R} \sum_i KL(p_i \| q_i)

    with KL the Kullback-Leibler divergence (without a factor :math:`\tau^2`); in both
    cases the mean over the images. Needs no adapter: only similarities are compared.

    Args:
        student, teacher: Maps, (N, C, H, W); the numbers of channels may differ.
        side: Largest number of cells along a side; R <= side^2. Default 16: 256^2
            similarities need less memory than the logits of a crop of 512x512.
        temperature: :math:`\tau`. Default None: squared differences. 0.07 is usual for
            cosines.
        mask: Boolean (N, H, W), valid positions. Default: all.

    Returns:
        A scalar.

    Reference:
        Liu et al., Structured Knowledge Distillation for Semantic Segmentation, CVPR
        2019, section 3.2, equation 1. Its code pools by the maximum of 2x2 cells.
        Softmax form: Fang et al., SEED, ICLR 2021, section 3.2, with the cells of an
        image in place of its queue of images.

    Example:
        >>> maps = torch.eye(2).view(1, 2, 1, 2)
        >>> similarity_loss(maps, maps * 0 + 1)
        tensor(0.5000)
    """
    check_maps('SimilarityLoss', student, teacher)
    check_not_empty('the batch of features', student)
    student, valid = grid_means(at_least_float32(student), mask, side)
    teacher, _ = grid_means(at_least_float32(teacher), mask, side)
    student, teacher = unit_vectors(student, dim=2), unit_vectors(teacher, dim=2)
    if temperature is None:
        rows = valid.sum(1).clamp(min=1)
        return (gram_distance(student, teacher, valid) / rows).mean()
    return _softmax_distance(student, teacher, temperature, valid)


def _softmax_distance(
    student: Tensor, teacher: Tensor, temperature: float, valid: Tensor
) -> Tensor:
    """Mean KL divergence of each valid row's softmax over the other valid rows."""
    others = valid[:, None] & ~torch.eye(valid.shape[1], device=valid.device).bool()
    q, p = (
        (x @ x.mT / temperature).where(others, EXCLUDED) for x in (student, teacher)
    )
    divergences = kl_divergence(q, p, dim=2)
    rows = valid.sum(1).clamp(min=1)
    return (divergences.where(valid, 0).sum(1) / rows).mean()
