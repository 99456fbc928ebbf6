"""Multi-level logit distillation (MLKD)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmkd.functional import mlkd_loss
from mmkd.functional.mlkd import NOT_TWO_VIEWS, check_mlkd, first_temperature
from mmkd.registry import MODELS

from .logit_loss import LogitLoss


@MODELS.register_module()
class MLKDLoss(LogitLoss):
    """:func:`mmkd.functional.mlkd_loss`: instances, samples and classes.

    Args:
        tau: First temperature, > 0. Default 4, or 2 if standardized.
        taus: Other temperatures. Default 3, 5, 2 and 6.
        beta: Weight of the relation between samples, >= 0. Default 1.
        gamma: Weight of the relation between classes, >= 0. Default 1.
        views: 2 for batches of :func:`mmkd.datasets.collate_views`: a weak view of each
            image and then the strong ones; vectors only. Default 1.
        standardize: Z-score the logits of the instance level. Default False.
        kwargs: As of :class:`LogitLoss`.

    Raises:
        ValueError: for an argument out of range, or a batch that is not of ``views``.

    Example:
        >>> teacher = torch.tensor([[1.0, 4.0, 3.0], [2.0, 1.0, 0.0]])
        >>> MLKDLoss()(teacher.flip(1), teacher)
        tensor(5.9181)
    """

    def __init__(
        self,
        tau: float | None = None,
        taus: Sequence[float] = (3.0, 5.0, 2.0, 6.0),
        beta: float = 1.0,
        gamma: float = 1.0,
        views: int = 1,
        standardize: bool = False,
        **kwargs: object,
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
