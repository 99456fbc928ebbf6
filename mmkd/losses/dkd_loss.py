"""Decoupled knowledge distillation (DKD)."""

from typing import Any

from torch import Tensor

from mmkd.functional import dkd_loss
from mmkd.functional.checks import check_weights
from mmkd.registry import MODELS

from .logit_loss import LogitLoss


@MODELS.register_module()
class DKDLoss(LogitLoss):
    """:func:`mmkd.functional.dkd_loss` as a module; requires hard labels.

    The paper uses a linear warm-up of the loss weight over 20 of 240 epochs:
    ``schedule=dict(warmup=20, by_epoch=True)``.

    Args:
        alpha, beta, tau: See :func:`mmkd.functional.dkd_loss`. Default 1, 8 and 4.
        kwargs: Arguments of :class:`LogitLoss`.
    """

    no_sigmoid = 'it separates the labeled class from the others of one distribution'

    def __init__(
        self, alpha: float = 1.0, beta: float = 8.0, tau: float = 4.0, **kwargs: Any
    ) -> None:
        super().__init__(tau=tau, **kwargs)
        check_weights(alpha=alpha, beta=beta)
        self.alpha = alpha
        self.beta = beta

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
        """Return the mean over the valid positions."""
        return dkd_loss(
            student, teacher, target, self.alpha, self.beta, **self.options, mask=mask
        )
