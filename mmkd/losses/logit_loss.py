"""Base class of losses between the logits of two networks."""

from abc import abstractmethod
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from mmkd.functional import bernoulli_logits
from mmkd.functional.checks import check_flags, check_logits, check_temperatures
from mmkd.functional.resizing import resize_logits, resize_target

from .distillation_loss import DistillationLoss, Where
from .divergences import BalancedKL, ForwardKL, build_divergence
from .teacher_correction import TeacherCorrection, build_correction

# Typical standard deviation of a trained network's logits over its classes.
TYPICAL_STD = 3.0


class LogitLoss(DistillationLoss):
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

    With ``activation='sigmoid'``, each of the C channels of a sample or pixel is a
    Bernoulli distribution of its own. As a sigmoid is a softmax over two classes,
    :math:`sigmoid(x / \tau) = softmax([0, x] / \tau)_1`, these distributions are
    compared like softmaxes; the value is the mean over channels and valid positions:

    .. math:: L = \frac{\tau^2}{M C} \sum_{m,c} D(
        softmax([0, t_{mc}] / \tau), softmax([0, s_{mc}] / \tau))

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
        ignore_index: Label of ignored pixels; maps only. Default 255. None: no label is
            ignored, so that pixels without a class are compared, too.
        resolution: Resolution at which maps are compared. ``'tap'``, the default: that
            of the student's tap, the module whose output is compared. The teacher's map
            is resized bilinearly and the target by nearest neighbor; for a padded
            network of stride s, pixel s * i of the target is the center of cell i.
            ``'label'``: both maps are upsampled bilinearly to the target. The values
            differ because standardization does not commute with interpolation.
        align_corners: Option of the bilinear resizing. Default False, as in mmseg's
            heads. In a distillation, the defaults of this, ``ignore_index`` and
            ``activation`` are those of the student's head.
        activation: ``'softmax'`` over the classes, or ``'sigmoid'`` of each channel.
            Default None: softmax.
        where, edge_width: See :class:`DistillationLoss`. Default ``'all'`` and 4.
        teacher_correction: Config of a :class:`TeacherCorrection`, such as
            ``dict(type='TeacherCorrection')``, which moves the teacher's distribution
            towards the label where it is wrong or uncertain, at the resolution of the
            comparison and before standardization. Its share of the valid positions is
            logged as ``corrected``. Default None.

    Attributes:
        no_sigmoid: Reason why a loss cannot compare sigmoid outputs. None: it can.
        over_positions: True if the softmax runs over the positions of a map, whatever
            its channels are.

    Raises:
        ValueError: for an argument out of range, mismatched logits, or
            ``resolution='label'`` for maps without a target.
    """

    no_sigmoid: ClassVar[str | None] = None
    over_positions: ClassVar[bool] = False

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
        activation: Literal['softmax', 'sigmoid'] | None = None,
        where: Where = 'all',
        edge_width: int = 4,
        teacher_correction: dict | str | TeacherCorrection | None = None,
    ) -> None:
        super().__init__(
            loss_weight,
            ignore_index,
            align_corners,
            where=where,
            edge_width=edge_width,
        )
        check_temperatures(tau=tau, tau_teacher=tau_teacher)
        check_flags(standardize=standardize)
        if resolution not in ('tap', 'label'):
            raise ValueError(f"resolution must be 'tap' or 'label', not {resolution!r}")
        self.tau = tau
        self.tau_teacher = tau_teacher
        self.standardize = standardize
        self.divergence = build_divergence(divergence)
        self.resolution = resolution
        self.teacher_correction = build_correction(teacher_correction)
        if self.teacher_correction is not None and ignore_index is None:
            raise ValueError(
                'teacher_correction needs labels, but ignore_index=None compares all '
                'pixels without them; remove one of the two'
            )
        self.set_activation(activation)

    def set_activation(self, activation: Literal['softmax', 'sigmoid'] | None) -> None:
        """Set the activation of the compared logits.

        Raises:
            ValueError: for an unknown activation, or one that this loss cannot compare.
        """
        if activation not in (None, 'softmax', 'sigmoid'):
            raise ValueError(
                f"activation must be 'softmax' or 'sigmoid', not {activation!r}"
            )
        if activation == 'sigmoid' and self.no_sigmoid:
            raise ValueError(
                f'{type(self).__name__} cannot compare sigmoid outputs, as '
                f'{self.no_sigmoid}; use KDLoss, CTKDLoss or CWDLoss'
            )
        if activation == 'sigmoid' and self.teacher_correction is not None:
            raise ValueError(
                'teacher_correction moves probability from one class to another, which '
                'sigmoid outputs do not share; remove it'
            )
        self.activation = activation

    @property
    def is_bernoulli(self) -> bool:
        """True if each channel is compared as a distribution of its own."""
        return self.activation == 'sigmoid' and not self.over_positions

    def replace_standardization(self) -> None:
        """Divide logits by :data:`TYPICAL_STD` instead of standardizing them.

        For two classes, whose standardized logits are constant. Standardized logits at
        tau correspond to plain logits at tau * std, and the factor tau^2 of the loss to
        (tau * std)^2 / std^2.
        """
        self.standardize = False
        self.tau *= TYPICAL_STD
        if self.tau_teacher is not None:
            self.tau_teacher *= TYPICAL_STD
        divergence = self.divergence
        if isinstance(divergence, BalancedKL) and divergence.tau_reverse is not None:
            divergence.tau_reverse *= TYPICAL_STD
        self.loss_weight /= TYPICAL_STD**2

    @property
    def options(self) -> dict[str, Any]:
        """Arguments shared by most functions of :mod:`mmkd.functional`."""
        return {
            'tau': self.tau,
            'tau_teacher': self.tau_teacher,
            'standardize': self.standardize,
            'divergence': self.divergence,
        }

    def prepare(
        self, student: Tensor, teacher: Tensor, target: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Check the shapes of the logits and of the target."""
        check_logits(student, teacher, target)
        self.check_channels(student.shape[1])
        return student, teacher

    def check_channels(self, channels: int) -> None:
        """Raise a ValueError for the softmax of a single channel."""
        if channels > 1 or self.is_bernoulli or self.over_positions:
            return
        fix = "set activation='sigmoid'"
        if self.no_sigmoid:
            fix = 'use KDLoss, CTKDLoss or CWDLoss'
        raise ValueError(
            f'the logits have one channel, whose softmax is always 1; {fix}'
        )

    def value(self, student: Tensor, teacher: Tensor, target: Tensor | None) -> Tensor:
        """Return the unweighted loss of logits in float32 or better."""
        size, target, mask = self.align_target(student, target)
        if self.is_bernoulli:
            student, teacher, mask = self.bernoulli(student, teacher, mask)
            target = None
        student = resize_logits(student, size, self.align_corners, mask)
        teacher = resize_logits(teacher, size, self.align_corners, mask)
        teacher = self.correct(teacher, target, mask)
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

    def correct(
        self, teacher: Tensor, target: Tensor | None, mask: Tensor | None
    ) -> Tensor:
        """Return the teacher's logits, corrected by the labels on request."""
        if self.teacher_correction is None:
            return teacher
        return self.teacher_correction(teacher, target, mask)

    def logged(self) -> dict[str, Tensor]:
        """Return the share of corrected positions, if the teacher is corrected."""
        correction = self.teacher_correction
        return {} if correction is None else {'corrected': correction.share}

    def bernoulli(
        self, student: Tensor, teacher: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return both logits as :func:`bernoulli_logits`, and the mask of these."""
        if mask is not None:
            mask = mask.repeat_interleave(student.shape[1], 0)
        return bernoulli_logits(student), bernoulli_logits(teacher), mask

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

        Sigmoid outputs come as (N * C, 2) or (N * C, 2, H, W), without a target.
        """
