"""What every loss on logits shares, once."""

from abc import ABCMeta, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mmkd.functional import standardize
from mmkd.functional.checks import (
    at_least_float32,
    check_logits,
    check_temperature,
    check_weight,
)
from mmkd.losses.divergences import ForwardKL, build_divergence
from mmkd.losses.schedule import Progress


class LogitLoss(nn.Module, metaclass=ABCMeta):
    r"""Base of the losses between the logits of two networks.

    Called as ``loss(student, teacher, target=None)`` with the networks' raw logits,
    (N, C) or (N, C, H, W). It brings both to one resolution, finds the positions that
    count, standardises, leaves the comparison to :meth:`compare` and returns
    ``loss_weight`` times its value, a scalar. In float32 or better, whatever autocast
    says; the teacher's logits get no gradient.

    Args:
        tau: Temperature of both networks, > 0. The loss carries a factor tau^2.
        tau_teacher: The teacher's own temperature (LSKD, section 4.1: the two need not
            be one). Default: ``tau``. A divergence's ``tau_reverse`` is scaled for it
            in the same proportion.
        standardize: Z-score the logits along the softmax axis first, see
            :func:`mmkd.functional.standardize`. Default False.
        divergence: What compares two distributions: a config such as
            ``dict(type='BalancedKL', reverse_weight=1.0)``, a class or an instance.
            Default :class:`mmkd.losses.ForwardKL`.
        loss_weight: Factor of the loss, >= 0. Default 1.
        ignore_index: Label of the pixels that do not count; maps only. Default 255.
        resolution: Where maps are compared. ``'tap'``: as the student gives them; the
            teacher's map is resized to that (bilinear), the target with nearest, whose
            pixel s * i is the centre of cell i of a padded network of stride s.
            ``'label'``: both upsampled to the target (bilinear). Not the same loss:
            the standard deviation does not commute with interpolation. Default 'tap'.
        align_corners: Of the bilinear resizing. Default False, as in mmseg's heads.

    Raises:
        ValueError: for an argument out of range, logits that do not fit each other, or
            ``resolution='label'`` on maps without a target.
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
    ) -> None:
        super().__init__()
        check_temperature(tau)
        if tau_teacher is not None:
            check_temperature(tau_teacher, 'tau_teacher')
        check_weight(loss_weight, 'loss_weight')
        if resolution not in ('tap', 'label'):
            raise ValueError(f"resolution must be 'tap' or 'label', not {resolution!r}")
        self.tau = tau
        self.tau_teacher = tau if tau_teacher is None else tau_teacher
        self.standardize = standardize
        self.divergence = build_divergence(divergence)
        self.loss_weight = loss_weight
        self.ignore_index = ignore_index
        self.resolution = resolution
        self.align_corners = align_corners
        # Position in the run; the Distiller sets it before each iteration.
        self.progress = Progress()

    def forward(
        self, student: Tensor, teacher: Tensor, target: Tensor | None = None
    ) -> Tensor:
        """Returns the weighted loss of a batch; target is (N,) or (N, H', W')."""
        check_logits(student, teacher, target)
        student = at_least_float32(student)
        teacher = at_least_float32(teacher.detach())
        with torch.autocast(student.device.type, enabled=False):
            return self.loss_weight * self.value(student, teacher, target)

    def value(self, student: Tensor, teacher: Tensor, target: Tensor | None) -> Tensor:
        """The loss without its weight, from raw logits in float32 or better."""
        student, teacher, target, counted = self.aligned(student, teacher, target)
        if self.standardize:
            student = self.standardized(student, counted)
            teacher = self.standardized(teacher, counted)
        return self.compare(student, teacher, target, counted)

    def aligned(
        self, student: Tensor, teacher: Tensor, target: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """Logits and target at one resolution, and which pixels count."""
        counted = None
        if student.ndim == 4:
            size, target = self.size_and_target(student, target)
            student, teacher = (self.resize(x, size) for x in (student, teacher))
            # Only maps have pixels to ignore: label 255 of a vector is a class.
            counted = self.counted(target)
        return student, teacher, target, counted

    def size_and_target(
        self, student: Tensor, target: Tensor | None
    ) -> tuple[torch.Size, Tensor | None]:
        """Where the config wants maps to be compared, and the target there."""
        size = student.shape[2:]
        if self.resolution == 'label':
            if target is None:
                raise ValueError("resolution='label' needs a target, but got None")
            size = target.shape[1:]
        return size, resize_target(target, size)

    def counted(self, target: Tensor | None) -> Tensor | None:
        """Marks the pixels that count; None where all do."""
        return None if target is None else target != self.ignore_index

    def resize(self, logits: Tensor, size: torch.Size) -> Tensor:
        """Bilinear resizing, where the size is another."""
        if logits.shape[2:] == size:
            return logits
        return interpolate(
            logits, size, mode='bilinear', align_corners=self.align_corners
        )

    def standardized(self, logits: Tensor, counted: Tensor | None) -> Tensor:
        """Standardises along the softmax axis: here the classes."""
        return standardize(logits)

    def diverge(self, student: Tensor, teacher: Tensor, dim: int = 1) -> Tensor:
        """The divergence of every position, with each network's temperature."""
        return self.divergence(student, self.cooled(teacher), self.tau, dim)

    def cooled(self, teacher: Tensor) -> Tensor:
        """The teacher's logits, so that at ``tau`` they are as at ``tau_teacher``."""
        return teacher * (self.tau / self.tau_teacher)

    def check_run(self, progress: Progress) -> None:
        """Raise a ValueError if an argument does not fit the length of a run."""

    def logged(self) -> dict[str, Tensor]:
        """What to log beside the loss: scalars without a graph, by name."""
        return {}

    @abstractmethod
    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        target: Tensor | None,
        counted: Tensor | None,
    ) -> Tensor:
        """The loss itself, a scalar, from aligned and standardised logits.

        ``counted`` is a boolean (N, H, W), or None where every position counts.
        """


def resize_target(target: Tensor | None, size: torch.Size) -> Tensor | None:
    """The label at another size, by nearest."""
    if target is None or target.shape[1:] == size:
        return target
    return interpolate(target[:, None].float(), size)[:, 0].to(target.dtype)


def mean_over_counted(values: Tensor, counted: Tensor | None) -> Tensor:
    """Mean of the positions that count; 0, with a graph, where none does.

    ``counted`` may also be what each position weighs.
    Not ``batchmean``, which grows with the crop. By weights, since indexing with a mask
    would wait for the device.
    """
    if counted is None:
        return values.mean()
    values = torch.where(counted != 0, counted * values, 0)
    return values.sum() / counted.sum().clamp(min=1)


def hard_target(target: Tensor | None, counted: Tensor | None, loss: str) -> Tensor:
    """The class of every position, an index; 0 where it does not count.

    Raises:
        ValueError: without a target, or with a soft one (Mixup, CutMix).
    """
    if target is None or target.is_floating_point():
        what = (
            'soft labels (of Mixup or CutMix?)' if target is not None else 'no target'
        )
        raise ValueError(f'{loss} needs the class of each position, but got {what}')
    return target if counted is None else torch.where(counted, target, 0)
