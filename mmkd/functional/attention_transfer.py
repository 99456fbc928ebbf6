"""Attention transfer (AT)."""

from torch import Tensor

from .checks import at_least_float32, check_not_empty
from .masking import zero_invalid
from .relations import unit_vectors


def attention_transfer_loss(
    student: Tensor, teacher: Tensor, mask: Tensor | None = None
) -> Tensor:
    r"""Squared distance between the spatial attention maps of two features.

    The attention map of an image is the mean over its channels of the squared feature,
    :math:`a_i = \frac{1}{C} \sum_c F_{ci}^2` at position i, divided by its Euclidean
    norm over the M valid positions:

    .. math::
        L = \frac{1}{N} \sum_n \frac{1}{M_n} \sum_i
        \Big( \frac{a^s_{ni}}{\|a^s_n\|} - \frac{a^t_{ni}}{\|a^t_n\|} \Big)^2

    The paper writes the norm of the difference; this follows its code, whose weight is
    1000 (the paper's beta).

    Args:
        student, teacher: Maps, (N, C, H, W); the numbers of channels may differ.
        mask: Boolean (N, H, W), valid positions. Default: all.

    Returns:
        A scalar.

    Reference:
        Zagoruyko and Komodakis, Paying More Attention to Attention, ICLR 2017, section
        3.1, equation 2.

    Example:
        >>> import torch
        >>> maps = torch.tensor([[[[1.0, 0.0]]]])
        >>> attention_transfer_loss(maps, maps.flip(3))
        tensor(1.)
    """
    check_maps('AttentionTransferLoss', student, teacher)
    attention = [_attention(x, mask) for x in (student, teacher)]
    squared = (attention[0] - attention[1]).square()
    if mask is None:
        return squared.mean()
    valid = mask.flatten(1).sum(1).clamp(min=1)
    return (squared.sum(1) / valid).mean()


def _attention(features: Tensor, mask: Tensor | None) -> Tensor:
    """Attention maps with norm 1, (N, H * W); 0 at invalid positions."""
    features = zero_invalid(at_least_float32(features), mask)
    return unit_vectors(features.square().mean(1).flatten(1))


def check_maps(name: str, student: Tensor, teacher: Tensor) -> None:
    """Raise a ValueError unless both are maps that differ only in their channels."""
    if student.ndim != 4 or teacher.ndim != 4:
        raise ValueError(
            f'{name} compares maps (N, C, H, W), but got {tuple(student.shape)} and '
            f'{tuple(teacher.shape)}; use FeatureMSELoss for vectors'
        )
    if student[:, 0].shape != teacher[:, 0].shape:
        raise ValueError(
            f'{name}: maps of student {tuple(student.shape)} and teacher '
            f'{tuple(teacher.shape)} must agree in batch size, height and width'
        )
    check_not_empty('the batch of features', student)
