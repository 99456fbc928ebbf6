"""Curriculum temperature for knowledge distillation (CTKD)."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from mmkd.functional import ctkd_loss, curriculum_temperature
from mmkd.functional.checks import check_flags, check_temperatures
from mmkd.registry import MODELS

from .logit_loss import LogitLoss
from .schedule import Progress, check_duration, check_fits, elapsed


@MODELS.register_module()
class CTKDLoss(LogitLoss):
    r""":func:`mmkd.functional.ctkd_loss` with theta as a learnable parameter.

    Lambda, the factor of theta's reversed gradient, increases from 0 to 1 along a half
    cosine over the iterations (or epochs) i:

    .. math:: \lambda(i) = \tfrac12 \left(1 - \cos(\pi \min(1, i / warmup))\right)

    The run's optimizer also trains theta. Checkpoints store theta next to the student's
    weights. ``tau`` and ``lambda`` are logged.

    Args:
        t_start, t_end: See :func:`mmkd.functional.curriculum_temperature`; t_start <
            t_end. Default 1 and 20.
        warmup: Duration until lambda is 1, a fraction of the run (float) or a number
            of epochs (int); with 0, lambda is 1 from the start. Default 10, the paper's
            value for CIFAR-100; it uses 5 on ImageNet.
        by_epoch: An int ``warmup`` counts epochs, not iterations. Default True.
        kwargs: Arguments of :class:`LogitLoss`, except ``tau`` and ``tau_teacher``.

    Example:
        >>> loss = CTKDLoss()  # theta starts at 1
        >>> loss.temperature()
        tensor(15.6212, grad_fn=<AddBackward0>)
    """

    def __init__(
        self,
        t_start: float = 1.0,
        t_end: float = 20.0,
        warmup: float = 10,
        by_epoch: bool = True,
        **kwargs: Any,
    ) -> None:
        for name in ('tau', 'tau_teacher'):
            if name in kwargs:
                raise TypeError(f'CTKDLoss learns its temperature: remove {name}')
        check_temperatures(t_start=t_start, t_end=t_end)
        if t_start >= t_end:
            raise ValueError(
                f'CTKDLoss needs t_start < t_end, but has {t_start} and {t_end}'
            )
        check_duration(warmup, 'warmup')
        check_flags(by_epoch=by_epoch)
        super().__init__(**kwargs)
        self.t_start = t_start
        self.t_end = t_end
        self.warmup = warmup
        self.by_epoch = by_epoch
        self.theta = nn.Parameter(torch.tensor(1.0))

    def check_run(self, progress: Progress) -> None:
        """Raise a ValueError if ``warmup`` is longer than the run."""
        check_fits(self.warmup, self.by_epoch, progress, 'warmup')

    def strength(self) -> float:
        """Return lambda at the current progress of the run."""
        share = min(1.0, elapsed(self.warmup, self.by_epoch, self.progress))
        return (1 - math.cos(math.pi * share)) / 2

    def temperature(self) -> Tensor:
        """Return tau; the gradient reaching theta is reversed and scaled by lambda."""
        return curriculum_temperature(
            self.theta, self.strength(), self.t_start, self.t_end
        )

    def logged(self) -> dict[str, Tensor]:
        """Return tau and lambda, which are logged with the loss."""
        tau = self.temperature().detach()
        own = {'tau': tau, 'lambda': tau.new_tensor(self.strength())}
        return super().logged() | own

    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        target: Tensor | None,
        mask: Tensor | None,
    ) -> Tensor:
        """Return the mean divergence at the current temperature, unweighted."""
        return ctkd_loss(
            student,
            teacher,
            self.theta,
            self.strength(),
            self.t_start,
            self.t_end,
            self.standardize,
            self.divergence,
            mask,
        )
