"""Knowledge distillation (KD), per sample or per pixel."""

from typing import Literal, cast

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmkd import ops
from mmkd.functional import (
    bernoulli_logits,
    class_balance,
    kd_loss,
    masked_mean,
)
from mmkd.functional.checks import check_flags
from mmkd.functional.kd import check_compensation
from mmkd.functional.resizing import resize_logits, used_pixels
from mmkd.registry import MODELS

from .distillation_loss import Where
from .divergences import FixedDivergence, ForwardKL
from .logit_loss import LogitLoss
from .teacher_correction import TeacherCorrection


@MODELS.register_module()
class KDLoss(LogitLoss):
    """:func:`mmkd.functional.kd_loss` as a module.

    Covers knowledge distillation (KD), logit standardization (LSKD), balance divergence
    distillation (BDD) and their combinations.

    See :class:`LogitLoss` for the other arguments.

    Args:
        scale_compensated: Replace the factor tau^2 by (tau std)^2, where std is the
            standard deviation of the student's logits at each position; requires
            ``standardize``. In float32 the variance is finite for logits up to 1e18.
            Default False.
        class_balanced: Weight positions by :func:`mmkd.functional.class_balance` of the
            teacher's logits, computed at the teacher's own resolution; of sigmoid
            outputs, each channel has weights that balance its two classes. Default
            False: all positions have the same weight.
        impl: ``'eager'`` uses the function and autograd; ``'fused'`` uses
            :func:`mmkd.ops.fused_kd_loss`, which supports maps and includes the
            upsampling; ``'auto'``, the default, is fused where supported. The values
            are equal up to rounding.

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
        ignore_index: int | None = 255,
        resolution: Literal['tap', 'label'] = 'tap',
        align_corners: bool = False,
        scale_compensated: bool = False,
        class_balanced: bool = False,
        impl: Literal['auto', 'eager', 'fused'] = 'auto',
        activation: Literal['softmax', 'sigmoid'] | None = None,
        where: Where = 'all',
        edge_width: int = 4,
        teacher_correction: dict | str | TeacherCorrection | None = None,
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
            activation,
            where,
            edge_width,
            teacher_correction,
        )
        if impl not in ('auto', 'eager', 'fused'):
            raise ValueError(f"impl must be 'auto', 'eager' or 'fused', not {impl!r}")
        check_flags(scale_compensated=scale_compensated, class_balanced=class_balanced)
        check_compensation(scale_compensated, standardize)
        self.scale_compensated = scale_compensated
        self.class_balanced = class_balanced
        self.impl = impl
        self.impl_is_logged = False

    def replace_standardization(self) -> None:
        """Divide logits by a constant instead; see :class:`LogitLoss`."""
        weight = self.loss_weight
        super().replace_standardization()
        if self.scale_compensated:  # the factor is (tau * std)^2 already
            self.scale_compensated, self.loss_weight = False, weight

    def value(self, student: Tensor, teacher: Tensor, target: Tensor | None) -> Tensor:
        """Return the unweighted loss by the chosen implementation."""
        obstacle = self.obstacle_to_fusion(student)
        if self.impl == 'fused' and obstacle:
            raise ValueError(
                f"impl='fused' is not supported here: {obstacle}; use impl='auto'"
            )
        if not self.impl_is_logged:
            self.impl_is_logged = True
            chosen = f'eager ({obstacle})' if obstacle else 'fused'
            print_log(f'KDLoss uses the {chosen} implementation', logger='current')
        size, aligned_target, mask = self.align_target(student, target)
        weight = None
        if self.class_balanced:
            weight = self.class_weight(teacher, size, mask)
        if self.is_bernoulli:
            student, teacher, mask = self.bernoulli(student, teacher, mask)
        if obstacle or self.teacher_correction is not None:
            teacher = resize_logits(teacher, size, self.align_corners, mask)
            teacher = self.correct(teacher, aligned_target, mask)
        if obstacle:
            student = resize_logits(student, size, self.align_corners, mask)
            return self.compare(student, teacher, aligned_target, mask, weight)
        divergence = cast(FixedDivergence, self.divergence)
        options = ops.DivergenceOptions(
            self.tau,
            self.tau_teacher,
            self.standardize,
            self.scale_compensated,
            divergence.function,
            divergence.keywords,
        )
        return ops.fused_kd_loss(
            student, teacher, size, options, self.align_corners, mask, weight
        )

    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        target: Tensor | None,
        mask: Tensor | None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """Return the weighted mean divergence over the valid positions."""
        return kd_loss(
            student,
            teacher,
            **self.options,
            scale_compensated=self.scale_compensated,
            mask=mask,
            weight=weight,
        )

    def obstacle_to_fusion(self, logits: Tensor) -> str | None:
        """Return why the fused implementation does not apply, or None if it does."""
        divergence = self.divergence
        if self.impl == 'eager':
            return "impl='eager'"
        if logits.ndim != 4:
            return 'the logits are vectors'
        if not (
            isinstance(divergence, FixedDivergence)
            and type(divergence).forward is FixedDivergence.forward
            and divergence.function in ops.FUSED
        ):
            return f'the divergence is of type {type(divergence).__name__}'
        if isinstance(self.tau, Tensor) or isinstance(self.tau_teacher, Tensor):
            return 'the temperature is a tensor'
        if type(self) is not KDLoss:
            return f'{type(self).__name__} may override a step'
        return None

    def class_weight(
        self, teacher: Tensor, size: torch.Size, mask: Tensor | None
    ) -> Tensor:
        """Return class-balanced weights at ``size`` with mean 1 over valid pixels."""
        if not self.is_bernoulli:
            return self._balance(teacher, size, mask)
        channels = [
            self._balance(bernoulli_logits(channel), size, mask)
            for channel in teacher.split(1, 1)
        ]
        return torch.stack(channels, 1).flatten(0, 1)

    def _balance(
        self, teacher: Tensor, size: torch.Size, mask: Tensor | None
    ) -> Tensor:
        """Return class-balanced weights of softmaxes."""
        if teacher.shape[2:] == size:
            return class_balance(teacher, mask)
        used = mask
        if mask is not None:
            used = used_pixels(mask, teacher.shape[2:], self.align_corners)
        weight = class_balance(teacher, used)[:, None]
        weight = resize_logits(weight, size, self.align_corners)[:, 0]
        return weight / masked_mean(weight, mask).clamp(min=1e-12)
