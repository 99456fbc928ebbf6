"""Standardised KD otherwise than LSKD has it: what the CamVid study tries."""

from typing import Literal

import torch
from torch import Tensor

from mmkd.functional import class_balance
from mmkd.losses.kd_loss import KDLoss
from mmkd.losses.logit_loss import mean_over_counted
from mmkd.registry import MODELS

SURE = 1e4  # times a one-hot, whose softmax is itself


@MODELS.register_module()
class KDVariant(KDLoss):
    r"""KDLoss with ``standardize=True`` whose steps can be done otherwise.

    With :math:`z = (x - mean) / \sigma` at each pixel, the loss is the mean over the
    pixels of :math:`f \tau^2 D(p, q)`.

    Args:
        over: What sigma is the standard deviation of: the logits of the ``'pixel'``,
            or, each pixel's mean taken off, of the ``'image'``, which leaves the
            teacher the difference between pixels it is sure and unsure of.
        factor: f, without a gradient: ``'one'``; ``'student'``, :math:`\sigma_s^2`, and
            ``'both'``, :math:`\sigma_s \sigma_t`, which level what 1 / sigma_s does to
            the gradient; ``'confidence'``, the teacher's largest probability;
            ``'class'``: each class that is the teacher's first anywhere weighs the same
            in sum; ``'mass'``: each class does, shared out by the teacher's
            probabilities.
        kwargs: As of :class:`KDLoss`.
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

    def value(self, student: Tensor, teacher: Tensor, target: Tensor | None) -> Tensor:
        """The mean over the counted pixels."""
        size, target = self.size_and_target(student, target)
        student, teacher = (self.resize(x, size) for x in (student, teacher))
        counted = self.counted(target)
        student, sigma_s = self.scaled(student, counted)
        teacher_z, sigma_t = self.scaled(teacher, counted)
        factor = {
            'one': lambda: torch.ones_like(sigma_s),
            'student': lambda: sigma_s.detach() ** 2,
            'both': lambda: (sigma_s * sigma_t).detach(),
            'confidence': lambda: teacher.softmax(1).amax(1),
            'class': lambda: class_balance(SURE * first(teacher), counted),
            'mass': lambda: class_balance(teacher, counted),
        }[self.factor]()
        return mean_over_counted(factor * self.diverge(student, teacher_z), counted)

    def scaled(self, logits: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
        """z, and sigma of each pixel (N, H, W)."""
        centred = logits - logits.mean(1, keepdim=True)
        variance = centred.square().sum(1) / (logits.shape[1] - 1)
        if self.over == 'image':
            number = counted.sum((1, 2), keepdim=True).clamp(min=1)
            variance = torch.where(counted, variance, 0).sum((1, 2), True) / number
            variance = variance.expand_as(counted)
        sigma = (variance + 1e-12).sqrt()
        return centred / sigma[:, None], sigma


def first(logits: Tensor) -> Tensor:
    """One-hot of the largest."""
    return torch.zeros_like(logits).scatter_(1, logits.argmax(1, True), 1)
