"""Base class of losses between the logits of two networks."""

from abc import ABCMeta, abstractmethod
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mmkd.functional.checks import (
    at_least_float32,
    check_logits,
    check_temperatures,
    check_weights,
)
from mmkd.functional.resizing import resize_logits, resize_target

from .divergences import ForwardKL, build_divergence
from .schedule import Progress


class LogitLoss(nn.Module, metaclass=ABCMeta):
    r"""Base class of losses between the logits of two networks.

    A loss is called as ``loss(student_logits, teacher_logits, target=None)`` with raw
    logits, (N, C) or (N, C, H, W), and returns a scalar: ``loss_weight`` times the
    value of :meth:`compare`. This class resizes both maps to one resolution, masks
    pixels labeled ``ignore_index``, disables autocast and detaches the teacher's
    logits; subclasses call the functions of :mod:`mmkd.functional`.

    Logits at ignored pixels, including NaN and infinity, affect neither value nor
    gradient. If maps are resized, the same holds for logits without a bilinear weight
    in a valid pixel. In float32, value and gradient are finite for logits up to 1e34,
    or up to 1e18 with ``scale_compensated``.

    Args:
        tau: Temperature of both networks, 0.001 to 1000. The loss includes the factor
            tau^2.
        tau_teacher: Temperature of the teacher, if different (section 4.1 of the logit
            standardization paper, LSKD). A divergence's ``tau_reverse`` is scaled for
            the teacher by the same ratio. Default: ``tau``.
        standardize: Z-score the logits along the softmax axis first; see
            :func:`mmkd.functional.standardize`. Default False.
        divergence: Divergence of two distributions: a config such as
            ``dict(type='BalancedKL', reverse_weight=1.0)``, a name, a class or an
            instance. Default :class:`ForwardKL`, the forward Kullback-Leibler
            divergence.
        loss_weight: Factor of the loss, >= 0. Default 1.
        ignore_index: Label of ignored pixels; maps only. Default 255.
        resolution: Resolution at which maps are compared. ``'tap'``, the default: that
            of the student's tap, the module whose output is compared. The teacher's map
            is resized bilinearly and the target by nearest neighbor; for a padded
            network of stride s, pixel s * i of the target is the center of cell i.
            ``'label'``: both maps are upsampled bilinearly to the target. The values
            differ because standardization does not commute with interpolation.
        align_corners: Option of the bilinear resizing. Default False, as in mmseg's
            heads.

    Raises:
        ValueError: for an argument out of range, mismatched logits, or
            ``resolution='label'`` for maps without a target.
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
        check_temperatures(tau=tau, tau_teacher=tau_teacher)
        check_weights(loss_weight=loss_weight)
        if resolution not in ('tap', 'label'):
            raise ValueError(f"resolution must be 'tap' or 'label', not {resolution!r}")
        self.tau = tau
        self.tau_teacher = tau_teacher
        self.standardize = standardize
        self.divergence = build_divergence(divergence)
        self.loss_weight = loss_weight
        self.ignore_index = ignore_index
        self.resolution = resolution
        self.align_corners = align_corners
        # Progress of the run; the Distiller sets it before each iteration.
        self.progress = Progress()

    @property
    def options(self) -> dict[str, Any]:
        """Arguments shared by most functions of :mod:`mmkd.functional`."""
        return {
            'tau': self.tau,
            'tau_teacher': self.tau_teacher,
            'standardize': self.standardize,
            'divergence': self.divergence,
        }

    def forward(
        self, student: Tensor, teacher: Tensor, target: Tensor | None = None
    ) -> Tensor:
        """Return the weighted loss of a batch; the target is (N,) or (N, H', W')."""
        check_logits(student, teacher, target)
        student = at_least_float32(student)
        teacher = at_least_float32(teacher.detach())
        with torch.autocast(student.device.type, enabled=False):
            return self.loss_weight * self.value(student, teacher, target)

    def value(self, student: Tensor, teacher: Tensor, target: Tensor | None) -> Tensor:
        """Return the unweighted loss of logits in float32 or better."""
        size, target, mask = self.align_target(student, target)
        student = resize_logits(student, size, self.align_corners, mask)
        teacher = resize_logits(teacher, size, self.align_corners, mask)
        return self.compare(student, teacher, target, mask)

    def align_target(
        self, student: Tensor, target: Tensor | None
    ) -> tuple[torch.Size, Tensor | None, Tensor | None]:
        """Return the size at which maps are compared, and target and mask of it."""
        size = student.shape[2:]
        if student.ndim == 2:  # for vectors, label 255 is a valid class
            return size, target, None
        if self.resolution == 'label':
            if target is None:
                raise ValueError(
                    "resolution='label' needs a target, but got None; pass the "
                    "labels, or set resolution='tap'"
                )
            size = target.shape[1:]
        target = resize_target(target, size)
        return size, target, self.valid_pixels(target)

    def valid_pixels(self, target: Tensor | None) -> Tensor | None:
        """Return the mask of a target; None, all pixels valid, without a target."""
        return None if target is None else target != self.ignore_index

    @abstractmethod
    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        target: Tensor | None,
        mask: Tensor | None,
    ) -> Tensor:
        """Return the unweighted loss of aligned logits.

        Args:
            student: (N, C) or (N, C, H, W), in float32 or better.
            teacher: Logits of the same shape.
            target: (N,) or (N, H, W), or None.
            mask: Boolean (N, H, W), valid pixels; None: all positions are valid.
                Logits at invalid pixels may be NaN or infinite.
        """

    def check_run(self, progress: Progress) -> None:
        """Raise a ValueError if an argument is invalid for the length of the run."""

    def logged(self) -> dict[str, Tensor]:
        """Return scalars to log with the loss, by name."""
        return {}
