"""Distillation from a stronger teacher (DIST)."""

from typing import Any

from torch import Tensor

from mmkd.functional import dist_loss
from mmkd.functional.checks import check_weights
from mmkd.registry import MODELS

from .logit_loss import LogitLoss


@MODELS.register_module()
class DISTLoss(LogitLoss):
    """:func:`mmkd.functional.dist_loss` as a module.

    Args:
        beta, gamma, tau: See :func:`mmkd.functional.dist_loss`. Default 1.
        eps: Constant in the denominator of the correlations, which switches off classes
            absent from a batch. Default 1e-8, as in the authors' code.
        kwargs: Arguments of :class:`LogitLoss`, except ``divergence``.
    """

    no_sigmoid = 'the correlation over the two states of a channel is always 1 or -1'

    def __init__(
        self,
        beta: float = 1.0,
        gamma: float = 1.0,
        tau: float = 1.0,
        eps: float = 1e-8,
        **kwargs: Any,
    ) -> None:
        if 'divergence' in kwargs:
            raise TypeError('DISTLoss compares correlations: remove divergence')
        super().__init__(tau=tau, **kwargs)
        check_weights(beta=beta, gamma=gamma, eps=eps)
        self.beta = beta
        self.gamma = gamma
        self.eps = eps

    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        target: Tensor | None,
        mask: Tensor | None,
    ) -> Tensor:
        """Return the weighted sum of both correlation terms."""
        options = dict(self.options, beta=self.beta, gamma=self.gamma, eps=self.eps)
        del options['divergence']
        return dist_loss(student, teacher, **options, mask=mask)
