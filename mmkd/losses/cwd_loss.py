"""Channel-wise distillation (CWD)."""

from torch import Tensor

from mmkd.functional import cwd_loss
from mmkd.registry import MODELS

from .logit_loss import LogitLoss


@MODELS.register_module()
class CWDLoss(LogitLoss):
    """:func:`mmkd.functional.cwd_loss`: spatial distributions of channels; maps only.

    Arguments and defaults are those of :class:`LogitLoss`; ``standardize`` acts along
    the valid positions of each channel.

    Example:
        >>> import torch
        >>> maps = torch.arange(24.0).view(1, 2, 3, 4)
        >>> CWDLoss(tau=4.0)(maps, maps.flip(3))
        tensor(2.4568)
    """

    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        target: Tensor | None,
        mask: Tensor | None,
    ) -> Tensor:
        """Return the mean over images and channels."""
        return cwd_loss(student, teacher, **self.options, mask=mask)
