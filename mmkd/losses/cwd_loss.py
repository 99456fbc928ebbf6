"""Channel-wise distillation (CWD)."""

from torch import Tensor

from mmkd.functional import cwd_loss
from mmkd.registry import MODELS

from .logit_loss import LogitLoss


@MODELS.register_module()
class CWDLoss(LogitLoss):
    """:func:`mmkd.functional.cwd_loss` as a module; requires maps.

    The softmax runs over the positions, so that sigmoid outputs, also a single channel,
    are compared in the same way. See :class:`LogitLoss` for arguments and defaults.
    """

    over_positions = True

    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        target: Tensor | None,
        mask: Tensor | None,
    ) -> Tensor:
        """Return the mean over images and channels."""
        return cwd_loss(student, teacher, **self.options, mask=mask)
