"""Intra-class feature variation distillation (IFVD)."""

import torch
from torch import Tensor

from .attention_transfer import check_maps
from .checks import at_least_float32, check_labels
from .masking import masked_mean, zero_invalid
from .relations import unit_vectors


def ifvd_loss(
    student: Tensor,
    teacher: Tensor,
    target: Tensor,
    num_classes: int,
    mask: Tensor | None = None,
) -> Tensor:
    r"""Squared difference of the similarities of pixels to their class prototype.

    The prototype of a class in an image is the mean feature of its pixels. With
    :math:`c_m` the cosine of pixel m's feature and the prototype of its label,

    .. math:: L = \frac{1}{M} \sum_m (c^s_m - c^t_m)^2

    over the M valid pixels. Needs no adapter: only similarities are compared.

    Args:
        student, teacher: Maps, (N, C, H, W); the numbers of channels may differ.
        target: (N, H, W), the labels.
        num_classes: Number of classes.
        mask: Boolean (N, H, W), valid pixels. Default: all.

    Returns:
        A scalar.

    Reference:
        Wang et al., Intra-class Feature Variation Distillation for Semantic
        Segmentation, ECCV 2020, section 3.2, equations 2 to 4. As in its code, the
        gradient also reaches the prototypes.

    Example:
        >>> maps = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])
        >>> ifvd_loss(maps, maps * 0 + 1, torch.zeros(1, 1, 2), num_classes=1)
        tensor(0.0858)
    """
    check_maps('IFVDLoss', student, teacher)
    label = target.long() if mask is None else target.long().where(mask, 0)
    check_labels(label, num_classes)
    ours, theirs = (
        _to_prototypes(zero_invalid(at_least_float32(x), mask), label, num_classes)
        for x in (student, teacher)
    )
    return masked_mean((ours - theirs).square(), mask)


def _to_prototypes(features: Tensor, label: Tensor, num_classes: int) -> Tensor:
    """Cosine of each pixel's feature and its class's mean in the image, (N, H, W).

    The cosine does not depend on the length of the prototype, so the sum of the
    features takes the place of their mean.
    """
    pixels = features.flatten(2)  # (N, C, M)
    group = label.flatten(1)[:, None]
    one_hot = pixels.new_zeros(len(pixels), num_classes, pixels.shape[2])
    one_hot.scatter_(1, group, 1)
    with torch.autocast(features.device.type, enabled=False):
        prototypes = unit_vectors(one_hot @ pixels.mT, dim=2)  # (N, classes, C)
        lengths = (prototypes @ pixels).gather(1, group)[:, 0]
    norm = torch.linalg.vector_norm(pixels, dim=1)
    cosines = lengths / norm.masked_fill(norm == 0, 1)
    return cosines.masked_fill(norm == 0, 0).view(label.shape)
