"""Cosine distance of features."""

from torch import Tensor

from .checks import at_least_float32, check_pair
from .masking import masked_mean, zero_invalid
from .relations import cosine


def feature_cosine_loss(
    student: Tensor, teacher: Tensor, mask: Tensor | None = None
) -> Tensor:
    r"""Cosine distance of two features.

    With :math:`s_m` and :math:`t_m` the feature vectors of student and teacher at
    position m of the M valid positions,

    .. math:: L = \frac{1}{M} \sum_m (1 - \cos(s_m, t_m))

    Args:
        student, teacher, mask: See :func:`feature_mse_loss`.

    Returns:
        A scalar from 0 to 2. A zero vector has cosine 0 and no gradient.

    Reference:
        Wang et al., In Defense of Feature Mimicking for Knowledge Distillation, AAAI
        2021: most of a feature's information is in its direction.

    Example:
        >>> import torch
        >>> feature_cosine_loss(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]]))
        tensor(1.)
    """
    check_pair(student, teacher)
    student, teacher = (
        zero_invalid(at_least_float32(x), mask).movedim(1, 0)
        for x in (student, teacher)
    )
    return masked_mean(1 - cosine(student, teacher, dims=(0,)), mask)
