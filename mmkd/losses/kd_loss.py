"""Knowledge distillation (KD), per sample or per pixel."""

from typing import Literal

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmkd import ops
from mmkd.functional.balance import class_balance
from mmkd.losses.divergences import ForwardKL
from mmkd.registry import MODELS

from . import fused_form
from .logit_loss import LogitLoss, mean_over_counted, resize_target


@MODELS.register_module()
class KDLoss(LogitLoss):
    r"""Divergence between the softened class distributions of teacher and student.

    With :math:`p = softmax(t / \tau)` and :math:`q = softmax(s / \tau)` over the
    classes, the mean over the M samples (N, C) or counted pixels (N, C, H, W) of

    .. math:: L = \frac{w}{M} \sum_m \tau^2 D(p_m, q_m)

    * KD: the defaults, D = KL(p || q).
    * LSKD: ``standardize=True``, s and t replaced by their Z-scores.
    * BDD: ``divergence=dict(type='BalancedKL')``, D = a KL(p || q) + b KL(q || p).
    * both at once: the main recipe of mmkd.

    Standardising makes the loss blind to the scale of the student's logits, and its
    gradient goes with 1/std of them: a useful ``loss_weight`` (about std/tau) needs a
    warm-up, which the Distiller gives by default, or ``effective_tau``. For z at tau is
    s at the temperature :math:`\tau \sigma`, sigma being the std of the student's
    logits at a position, and it is the square of this one that levels the gradient:

    .. math:: L = \frac{w}{M} \sum_m (\tau \sigma_m)^2 D(p_m, q_m)

    Args:
        tau, tau_teacher, standardize, divergence, loss_weight, ignore_index,
            resolution, align_corners: As of :class:`LogitLoss`.
        effective_tau: The factor tau^2 with the student's effective temperature at each
            position, in which no gradient flows; with ``standardize`` only. Not in
            LSKD. Default False.
        balance_classes: Positions weigh so that all classes weigh the same in a batch,
            by the teacher's probabilities: :func:`mmkd.functional.class_balance`, at
            the teacher's own resolution. Default False, all positions weigh the same.
        impl: ``'fused'``: of maps, value and gradient at once and strip by strip, with
            the upsampling inside, see :func:`mmkd.ops.mean_divergence`; ``'eager'``:
            step by step, by autograd; ``'auto'``, the default: fused where it applies.
            The numbers are the same, but for rounding.

    Raises:
        ValueError: as :class:`LogitLoss`; for another ``impl``, or where ``'fused'``
            was asked for and does not apply; for ``effective_tau`` of logits that are
            not standardised.

    Reference:
        Hinton et al., Distilling the Knowledge in a Neural Network, 2015, section 2;
        Sun et al., Logit Standardization in Knowledge Distillation, CVPR 2024;
        Qi et al., Balance Divergence for Knowledge Distillation, arXiv 2501.07804.

    Example:
        >>> import torch
        >>> loss = KDLoss(standardize=True)
        >>> teacher = torch.tensor([[1.0, 4.0, 3.0, 2.0]])
        >>> loss(torch.tensor([[1.0, 2.8, 3.0, 2.0]]), teacher)
        tensor(0.0995)
    """

    def __init__(
        self,
        tau: float = 1.0,
        tau_teacher: float | None = None,
        standardize: bool = False,
        divergence: dict | str | type | nn.Module = ForwardKL,
        loss_weight: float = 1.0,
        ignore_index: int = 255,
        resolution: Literal['tap', 'label'] = 'tap',
        align_corners: bool = False,
        effective_tau: bool = False,
        balance_classes: bool = False,
        impl: Literal['auto', 'eager', 'fused'] = 'auto',
    ) -> None:
        super().__init__(
            tau,
            tau_teacher,
            standardize,
            divergence,
            loss_weight,
            ignore_index,
            resolution,
            align_corners,
        )
        if impl not in ('auto', 'eager', 'fused'):
            raise ValueError(f"impl must be 'auto', 'eager' or 'fused', not {impl!r}")
        if effective_tau and not standardize:
            raise ValueError(
                'effective_tau=True needs standardize=True: else it is tau'
            )
        self.effective_tau = effective_tau
        self.balance_classes = balance_classes
        self.impl = impl
        self.told = impl == 'eager'

    def value(self, student: Tensor, teacher: Tensor, target: Tensor | None) -> Tensor:
        """Fused or eager, whichever ``impl`` and the input ask for."""
        obstacle = fused_form.obstacle(self, student)
        if type(self) is not KDLoss:
            obstacle = f'{type(self).__name__} may do a step otherwise'
        if self.impl == 'fused' and obstacle:
            raise ValueError(f"impl='fused' does not apply: {obstacle}")
        if not self.told:
            self.told = True
            how = f'step by step ({obstacle})' if obstacle else 'fused'
            print_log(f'KDLoss is computed {how}', logger='current')
        if self.impl == 'eager' or obstacle:
            return self.step_by_step(student, teacher, target)
        size, resized = self.size_and_target(student, target)
        counted = self.counted(resized)
        if self.balance_classes:
            counted = self.balanced(teacher, target, counted, size)
        return ops.mean_divergence(
            student,
            teacher,
            counted,
            size,
            self.align_corners,
            fused_form.form_of(self),
        )

    def step_by_step(
        self, student: Tensor, teacher: Tensor, target: Tensor | None
    ) -> Tensor:
        """The loss by autograd."""
        if not (self.effective_tau or self.balance_classes):
            return super().value(student, teacher, target)
        raw = teacher, target
        student, teacher, _, counted = self.aligned(student, teacher, target)
        level = student.detach().var(1) if self.effective_tau else 1
        if self.balance_classes:
            counted = self.balanced(*raw, counted, student.shape[2:])
        if self.standardize:
            student = self.standardized(student, counted)
            teacher = self.standardized(teacher, counted)
        return mean_over_counted(level * self.diverge(student, teacher), counted)

    def balanced(
        self,
        teacher: Tensor,
        target: Tensor | None,
        counted: Tensor | None,
        size: torch.Size,
    ) -> Tensor:
        """What each position weighs, of mean 1 over those that count."""
        if teacher.ndim == 2:
            return class_balance(teacher)
        own = self.counted(resize_target(target, teacher.shape[2:]))
        weights = class_balance(teacher, own)
        if teacher.shape[2:] == size:
            return weights
        weights = self.resize(weights[:, None], size)[:, 0]
        counted = torch.ones_like(weights) if counted is None else counted
        weights = weights * counted
        return weights * (counted.sum() / weights.sum().clamp(min=1e-12))

    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        target: Tensor | None,
        counted: Tensor | None,
    ) -> Tensor:
        """The mean divergence over the positions that count."""
        return mean_over_counted(self.diverge(student, teacher), counted)
