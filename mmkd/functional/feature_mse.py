"""Mean squared error and correlation of features."""

import torch
from torch import Tensor

from .checks import at_least_float32, check_pair
from .masking import masked_mean, zero_invalid
from .relations import cosine


def feature_mse_loss(
    student: Tensor,
    teacher: Tensor,
    normalize: bool = False,
    mask: Tensor | None = None,
) -> Tensor:
    r"""Mean squared error of two features.

    With s and t the features of student and teacher at M valid positions,

    .. math:: L = \frac{1}{M C} \sum_{m,c} (s_{mc} - t_{mc})^2

    Args:
        student, teacher: Features of the same shape, (N, C) or (N, C, H, W).
        normalize: First Z-score each channel of both over the valid positions of the
            batch. Half the squared error is then the mean over the channels of 1 - r,
            with r the Pearson correlation, which is returned. It does not depend on the
            scale of the features. A constant channel has r = 0 and no gradient. Default
            False.
        mask: Boolean (N,) or (N, H, W), valid positions. Default: all. Features at
            other positions, including NaN and infinity, have no effect.

    Returns:
        A scalar; 0, with a graph, if no position is valid.

    Reference:
        Romero et al., FitNets: Hints for Thin Deep Nets, ICLR 2015, equation 3 (half
        the sum over channels and positions instead of the mean). With ``normalize``:
        Cao et al., PKD: General Distillation Framework for Object Detectors via Pearson
        Correlation Coefficient, NeurIPS 2022, equations 4 and 5.

    Example:
        >>> feature_mse_loss(torch.zeros(1, 2), torch.tensor([[1.0, 3.0]]))
        tensor(5.)
    """
    check_pair(student, teacher)
    student, teacher = at_least_float32(student), at_least_float32(teacher)
    if not normalize:
        error = zero_invalid(student - teacher, mask)
        return masked_mean(error.square().mean(1), mask)
    student, teacher = _centered(student, mask), _centered(teacher, mask)
    value = (1 - cosine(student.transpose(0, 1), teacher.transpose(0, 1))).mean()
    return value if mask is None else value * mask.any()


def _centered(features: Tensor, mask: Tensor | None) -> Tensor:
    """Subtract each channel's mean over the valid positions; 0 at invalid ones.

    The channel itself is 0 if it is constant up to rounding.
    """
    shape = (1, -1, *[1] * (features.ndim - 2))
    axes = [axis for axis in range(features.ndim) if axis != 1]
    features = zero_invalid(features, mask)
    if mask is None:
        mask = features.new_ones(features[:, 0].shape, dtype=torch.bool)
    count = mask.sum().clamp(min=1)
    mean = (features.sum(axes) / count).view(shape)
    centered = torch.addcmul(features, mask.unsqueeze(1).to(mean), mean, value=-1)
    largest = centered.detach().abs().amax(axes, keepdim=True)
    rounding = 4 * torch.finfo(mean.dtype).eps * mean.detach().abs()
    return centered.masked_fill(largest <= rounding, 0)
