"""Intra-class feature variation distillation (IFVD)."""

from typing import Any

from torch import Tensor

from mmkd.functional import ifvd_loss
from mmkd.registry import MODELS

from .feature_loss import FeatureLoss


@MODELS.register_module()
class IFVDLoss(FeatureLoss):
    """:func:`mmkd.functional.ifvd_loss` as a module; requires maps and label maps.

    Args:
        num_classes: Number of classes. Default None: that of the student's head.
        kwargs: Arguments of :class:`FeatureLoss`, except ``adapter``.

    Example:
        >>> import torch
        >>> maps = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])
        >>> IFVDLoss(num_classes=3)(maps, maps * 0 + 1, torch.zeros(1, 1, 2))
        tensor(0.0858)
    """

    same_channels = False

    def __init__(self, num_classes: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes

    @property
    def needs_labels(self) -> bool:
        """True."""
        return True

    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        target: Tensor | None,
        mask: Tensor | None,
    ) -> Tensor:
        """Return the mean over the valid pixels."""
        if target is None:
            raise ValueError(
                'IFVDLoss needs a label for each pixel; use SimilarityLoss without'
            )
        if self.num_classes is None:
            raise ValueError(
                "IFVDLoss: the student's head has no num_classes; set num_classes in "
                'the loss config'
            )
        return ifvd_loss(student, teacher, target, self.num_classes, mask)
