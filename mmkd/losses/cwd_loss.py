"""Channel-wise distillation (CWD)."""

from typing import Any

from torch import Tensor

from mmkd.functional import cwd_loss
from mmkd.functional.checks import check_logits
from mmkd.registry import MODELS

from .adapters import Adapter
from .logit_loss import LogitLoss


@MODELS.register_module()
class CWDLoss(LogitLoss):
    """:func:`mmkd.functional.cwd_loss` as a module; requires maps.

    The softmax runs over the positions, so that sigmoid outputs, also a single channel,
    are compared in the same way, and features, with ``student='backbone'``,
    ``teacher='backbone'`` and an adapter.

    Args:
        adapter: Adapter of the student's features; see :class:`Adapter`. Default None.
        kwargs: Arguments of :class:`LogitLoss`.
    """

    over_positions = True

    def __init__(self, adapter: str | dict | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if adapter is not None:
            if self.teacher_correction is not None:
                raise ValueError(
                    'teacher_correction corrects classes, but an adapter is for '
                    'features; remove one of the two'
                )
            self.adapter = Adapter(adapter)

    def prepare(
        self, student: Tensor, teacher: Tensor, target: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Check the shapes of the maps and of the target."""
        if self.adapter is None:
            return super().prepare(student, teacher, target)
        check_logits(student[:, :1], teacher[:, :1], target)  # before the adapter
        return student, teacher

    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        target: Tensor | None,
        mask: Tensor | None,
    ) -> Tensor:
        """Return the mean over images and channels."""
        return cwd_loss(student, teacher, **self.options, mask=mask)
