"""Attention transfer (AT)."""

from torch import Tensor

from mmkd.functional import attention_transfer_loss
from mmkd.registry import MODELS

from .feature_loss import FeatureLoss


@MODELS.register_module()
class AttentionTransferLoss(FeatureLoss):
    """:func:`mmkd.functional.attention_transfer_loss` as a module; requires maps.

    See :class:`FeatureLoss` for arguments and defaults; there is no ``adapter``.

    Example:
        >>> import torch
        >>> maps = torch.tensor([[[[1.0, 0.0]]]])
        >>> AttentionTransferLoss(loss_weight=1000.0)(maps, maps.flip(3))
        tensor(1000.)
    """

    same_channels = False

    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        target: Tensor | None,
        mask: Tensor | None,
    ) -> Tensor:
        """Return the mean over images and valid positions."""
        return attention_transfer_loss(student, teacher, mask)
