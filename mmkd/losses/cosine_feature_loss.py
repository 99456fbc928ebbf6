"""Cosine distance of features."""

from torch import Tensor

from mmkd.functional import feature_cosine_loss
from mmkd.registry import MODELS

from .feature_loss import FeatureLoss


@MODELS.register_module()
class CosineFeatureLoss(FeatureLoss):
    """:func:`mmkd.functional.feature_cosine_loss` as a module.

    See :class:`FeatureLoss` for arguments and defaults.

    Example:
        >>> import torch
        >>> CosineFeatureLoss()(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]]))
        tensor(1.)
    """

    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        target: Tensor | None,
        mask: Tensor | None,
    ) -> Tensor:
        """Return the mean over the valid positions."""
        return feature_cosine_loss(student, teacher, mask)
