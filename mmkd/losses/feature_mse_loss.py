"""Mean squared error of features."""

from typing import Any

from torch import Tensor

from mmkd.functional import feature_mse_loss
from mmkd.functional.checks import check_flags
from mmkd.registry import MODELS

from .feature_loss import FeatureLoss


@MODELS.register_module()
class FeatureMSELoss(FeatureLoss):
    """:func:`mmkd.functional.feature_mse_loss` as a module.

    Args:
        normalize: Compare each channel's correlation instead of its values. Default
            False.
        kwargs: Arguments of :class:`FeatureLoss`.

    Example:
        >>> import torch
        >>> loss = FeatureMSELoss(normalize=True)
        >>> loss(torch.eye(3), 2 * torch.eye(3))
        tensor(0.)
    """

    def __init__(self, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_flags(normalize=normalize)
        self.normalize = normalize

    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        target: Tensor | None,
        mask: Tensor | None,
    ) -> Tensor:
        """Return the mean over channels and valid positions."""
        return feature_mse_loss(student, teacher, self.normalize, mask)
