"""Curriculum temperature for knowledge distillation (CTKD)."""

import math

import torch
from torch import Tensor, nn

from mmkd.registry import MODELS

from .logit_loss import LogitLoss, mean_over_counted
from .schedule import Progress, check_duration, check_fits, elapsed


@MODELS.register_module()
class CTKDLoss(LogitLoss):
    r"""KD whose temperature is learnt, against the student.

    .. math:: \tau = t_{start} + t_{end} \, \mathrm{sigmoid}(\theta)

    The loss is that of :class:`KDLoss` at this temperature, factor :math:`\tau^2`
    included. Its gradient reaches the scalar theta times :math:`-\lambda`: the student
    minimises what the temperature maximises. Lambda grows from 0 to 1 on a half cosine,
    so that the task gets harder by and by:

    .. math:: \lambda(i) = \tfrac12 \left(1 - \cos(\pi \min(1, i / warmup))\right)

    Theta is a parameter like the student's: any optimiser config trains it. Checkpoints
    keep it beside the plain student. Logged: ``tau`` and ``lambda``.

    Args:
        t_start: Lowest temperature, > 0. Default 1, the paper's.
        t_end: What is above it at most, > t_start. Default 20, the paper's.
        warmup: Duration until lambda is 1, a fraction of the run (float) or a number
            of epochs (int); 0: at once. Default 10, the paper's on CIFAR-100; 5 on
            ImageNet.
        by_epoch: An int ``warmup`` counts epochs, not iterations. Default True.
        kwargs: As of :class:`LogitLoss`, without ``tau`` and ``tau_teacher``.

    Raises:
        ValueError: unless 0 < t_start < t_end, or for a negative ``warmup``.
        TypeError: for a temperature.

    Reference:
        Li et al., Curriculum Temperature for Knowledge Distillation, AAAI 2023,
        sections 3.2 and 3.3.

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
        **kwargs: object,
    ) -> None:
        for name in ('tau', 'tau_teacher'):
            if name in kwargs:
                raise TypeError(f'CTKDLoss learns its temperature: remove {name}')
        if not 0 < t_start < t_end < float('inf'):
            raise ValueError(
                f'CTKDLoss needs 0 < t_start < t_end, but has {t_start} and {t_end}'
            )
        check_duration(warmup, 'warmup')
        super().__init__(**kwargs)
        self.t_start = t_start
        self.t_end = t_end
        self.warmup = warmup
        self.by_epoch = by_epoch
        self.theta = nn.Parameter(torch.tensor(1.0))

    def check_run(self, progress: Progress) -> None:
        """Raise a ValueError if ``warmup`` does not fit the length of a run."""
        check_fits(self.warmup, self.by_epoch, progress, 'warmup')

    def strength(self) -> float:
        """Return lambda at the position ``self.progress`` of the run."""
        share = min(1.0, elapsed(self.warmup, self.by_epoch, self.progress))
        return (1 - math.cos(math.pi * share)) / 2

    def temperature(self) -> Tensor:
        """Tau; a gradient passes to theta reversed and weakened."""
        strength = self.strength()
        theta = (1 + strength) * self.theta.detach() - strength * self.theta
        return self.t_start + self.t_end * theta.sigmoid()

    def logged(self) -> dict[str, Tensor]:
        """What to log of it beside its value."""
        tau = self.temperature().detach()
        return {'tau': tau, 'lambda': tau.new_tensor(self.strength())}

    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        target: Tensor | None,
        counted: Tensor | None,
    ) -> Tensor:
        """The mean divergence at the present temperature."""
        values = self.divergence(student, teacher, self.temperature())
        return mean_over_counted(values, counted)
