"""Multi-level logit distillation (MLKD)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mmkd.functional import mlkd_loss
from mmkd.functional.mlkd import NOT_TWO_VIEWS, check_mlkd, first_temperature
from mmkd.registry import MODELS

from .logit_loss import LogitLoss


@MODELS.register_module()
class MLKDLoss(LogitLoss):
    """:func:`mmkd.functional.mlkd_loss` as a module.

    Args:
        tau, taus, beta, gamma, standardize: See :func:`mmkd.functional.mlkd_loss`.
        views: 2 for batches collated by :func:`mmkd.datasets.collate_views`. Default 1.
        kwargs: Arguments of :class:`LogitLoss`.
    """

    no_sigmoid = 'it relates samples by their distributions over the classes'

    def __init__(
        self,
        tau: float | None = None,
        taus: Sequence[float] = (3.0, 5.0, 2.0, 6.0),
        beta: float = 1.0,
        gamma: float = 1.0,
        views: int = 1,
        standardize: bool = False,
        **kwargs: Any,
    ) -> None:
        tau = first_temperature(tau, standardize)
        super().__init__(tau=tau, standardize=standardize, **kwargs)
        check_mlkd(taus, beta, gamma, views)
        self.taus = tuple(taus)
        self.beta = beta
        self.gamma = gamma
        self.views = views

    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        target: Tensor | None,
        mask: Tensor | None,
    ) -> Tensor:
        """Return the sum over levels, temperatures and views."""
        if self.views == 2 and target is not None:
            weak, strong = target.tensor_split(2)
            if not torch.equal(weak, strong):
                raise ValueError(NOT_TWO_VIEWS)
        return mlkd_loss(
            student,
            teacher,
            taus=self.taus,
            beta=self.beta,
            gamma=self.gamma,
            views=self.views,
            **self.options,
            mask=mask,
        )
