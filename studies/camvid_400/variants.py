"""Variants of standardized knowledge distillation (KD) for the CamVid study."""

from typing import Literal

import torch
from torch import Tensor

from mmkd.functional import class_balance, masked_mean
from mmkd.losses import KDLoss


class KDVariant(KDLoss):
    r"""KDLoss with ``standardize=True`` and another standard deviation or factor.

    With :math:`z = (x - mean) / \sigma` of the logits x at each pixel, the loss is the
    mean of :math:`f \tau^2 D(p, q)` over the valid pixels, where D is the divergence of
    p = softmax(z / tau) of the teacher and q of the student.

    Args:
        over: Logits whose standard deviation is sigma: those of the ``'pixel'`` or,
            after subtracting the mean of each pixel, those of the ``'image'``, which
            preserves the teacher's differences in confidence between pixels.
        factor: f, without a gradient: ``'one'``; ``'student'``, :math:`\sigma_s^2`, and
            ``'both'``, :math:`\sigma_s \sigma_t`, which compensate the factor
            1 / sigma_s of the gradient (s: student, t: teacher); ``'confidence'``, the
            teacher's largest probability; ``'class'``, :func:`class_balance` by the
            teacher's most probable class; ``'mass'``, :func:`class_balance` by its
            probabilities.
        kwargs: Arguments of :class:`KDLoss`.
    """

    def __init__(
        self,
        over: Literal['pixel', 'image'] = 'pixel',
        factor: Literal[
            'one', 'student', 'both', 'confidence', 'class', 'mass'
        ] = 'one',
        **kwargs: object,
    ) -> None:
        super().__init__(standardize=True, impl='eager', **kwargs)
        self.over, self.factor = over, factor

    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        target: Tensor | None,
        mask: Tensor,
        weight: Tensor | None = None,
    ) -> Tensor:
        """Return the mean over the valid pixels."""
        z_student, sigma_s = self.standardized(student, mask)
        z_teacher, sigma_t = self.standardized(teacher, mask)
        factor = {
            'one': lambda: None,
            'student': lambda: sigma_s.detach() ** 2,
            'both': lambda: (sigma_s * sigma_t).detach(),
            'confidence': lambda: teacher.softmax(1).amax(1),
            'class': lambda: class_balance(one_hot_logits(teacher), mask),
            'mass': lambda: class_balance(teacher, mask),
        }[self.factor]()
        return masked_mean(
            self.divergence(z_student, z_teacher, self.tau), mask, factor
        )

    def standardized(self, logits: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return z, and sigma of each pixel, (N, H, W)."""
        centered = logits - logits.mean(1, keepdim=True)
        variance = centered.square().sum(1) / (logits.shape[1] - 1)
        if self.over == 'image':
            number = mask.sum((1, 2), keepdim=True).clamp(min=1)
            variance = torch.where(mask, variance, 0).sum((1, 2), True) / number
            variance = variance.expand_as(mask)
        sigma = (variance + 1e-12).sqrt()
        return centered / sigma[:, None], sigma


def one_hot_logits(logits: Tensor) -> Tensor:
    """Return logits whose softmax is 1 at the largest input logit."""
    return torch.zeros_like(logits).scatter_(1, logits.argmax(1, True), 1e4)
