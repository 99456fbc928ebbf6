"""Distillation loss with the outputs that it compares and its schedule."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mmkd.errors import UserError
from mmkd.losses import Adapter, DeepSupervisionLoss, FeatureLoss
from mmkd.losses.schedule import Progress

from .head_settings import loss_settings
from .logit_match import LogitMatch
from .loss_config import LossConfig
from .tap_checks import check_channels, check_gradient, check_kinds, check_tap
from .taps import find_tap, num_classes
from .teacher import Teacher
from .teacher_output import TeacherOutput


class TappedLoss:
    """Distillation loss between the outputs of two modules, built from its config.

    Args:
        name: Name of the loss in ``distill_losses``; must contain "loss".
        config: Arguments of the loss, and optionally ``student`` and ``teacher``, the
            taps, i.e. the modules whose outputs are compared (default: see
            :func:`default_tap`), and ``schedule``, the arguments of a
            :class:`WeightSchedule` (default: a constant weight). With
            ``loss_weight='auto'``, ``balance`` and ``balance_iterations`` are the
            arguments of an :class:`AutoWeight`. Of several teachers, ``teacher`` names
            one or more (see :func:`find_teachers`; default: all), and ``teacher_mean``
            is the mean of their outputs that is compared: ``'probabilities'``, the
            default, or ``'logits'``; see :func:`mmkd.functional.average_teachers`.

    Raises:
        UserError: for an invalid name, type or argument; the message names the config
            key.
    """

    def __init__(self, name: str, config: Mapping) -> None:
        built = LossConfig(name, config)
        self.name = name
        self.key = built.key
        self.named = built.named
        self.loss = built.loss
        self.schedule = built.schedule
        self.auto = built.auto
        # '' stands for the logits; find_taps sets the name.
        self.student_tap: str = built.student or getattr(self.loss, 'student_tap', '')
        self.teacher = TeacherOutput(self.key, built.teacher, built.teacher_mean)
        self.logits: LogitMatch | None = None  # None: features are compared
        if not isinstance(self.loss, FeatureLoss) and self.adapter is None:
            self.logits = LogitMatch(self.key, self.loss, self.named)

    @property
    def teacher_taps(self) -> list[str]:
        """Taps of the teachers, with the name of a teacher that has one."""
        return [each.full for each in self.teacher.taps]

    @property
    def adapter(self) -> Adapter | None:
        """The loss's adapter of the student's output; None without one."""
        return getattr(self.loss, 'adapter', None)

    @property
    def needs_labels(self) -> bool:
        """True if the loss cannot compare pixels without a label."""
        return self.loss.needs_labels

    @property
    def compares_all(self) -> bool:
        """True if the loss also compares pixels that the labels mark as ignored."""
        return self.loss.ignore_index is None

    def build_adapter(
        self,
        student_outputs: Mapping[str, Tensor],
        teacher_outputs: Mapping[str, Tensor],
    ) -> None:
        """Build the adapter for sample outputs of the taps.

        Raises:
            UserError: for outputs that the loss cannot compare.
        """
        student = student_outputs[self.student_tap]
        teacher = self._teacher_output(teacher_outputs)
        try:
            self.loss.build_adapter(student, teacher)
        except ValueError as error:
            raise UserError(f'{self.key}: {error}') from error

    def find_taps(self, student: nn.Module, teachers: Mapping[str, Teacher]) -> None:
        """Resolve the taps, and take what the config leaves open from the heads.

        Args:
            student: The student.
            teachers: The teachers by name.

        Raises:
            UserError: for an unknown module or teacher, or mismatched outputs; the
                message names the config key.
        """
        key = f'{self.key}.student'
        self.student_tap = find_tap(student, self.student_tap or None, key)
        self.teacher.find(getattr(self.loss, 'teacher_tap', ''), teachers)
        if self.logits is not None:
            self.logits.find(student, self.student_tap, self.teacher.taps)
            return
        if self.teacher.several:
            names = ', '.join(map(repr, teachers))
            raise UserError(
                f'{self.key}.teacher: features of several teachers have no mean; name '
                f'one of {names}, and add a loss for each further teacher'
            )
        known = loss_settings(student, '') | dict(num_classes=num_classes(student))
        for name in {'ignore_index', 'align_corners', 'num_classes'} - self.named:
            if hasattr(self.loss, name) and known.get(name) is not None:
                setattr(self.loss, name, known[name])

    def check_outputs(
        self,
        student_outputs: Mapping[str, Tensor],
        teacher_outputs: Mapping[str, Tensor],
        images: Tensor,
    ) -> None:
        """Raise a UserError if the outputs of the taps cannot be compared.

        Args:
            student_outputs: Outputs of the student by tap.
            teacher_outputs: Outputs of the teachers by full tap.
            images: The batch.
        """
        student = student_outputs[self.student_tap]
        if self.logits is not None:
            check_tap(f'{self.key}.student', self.student_tap, student, images)
            for each in self.teacher.taps:
                output, taps = teacher_outputs[each.full], (self.student_tap, each.full)
                resized = each.teacher.resolution.resize(images)
                check_tap(f'{self.key}.teacher', each.full, output, resized)
                check_kinds(self.key, taps, student, output)
            teacher = self._teacher_output(teacher_outputs)
            student, teacher, _ = self.logits.align(student, teacher, None)
            channels = student.shape[1], teacher.shape[1]
            features = getattr(self.loss, 'over_positions', False)
            check_channels(self.key, taps, channels, features)
        check_gradient(f'{self.key}.student', self.student_tap, student)

    def describe(
        self,
        student_outputs: Mapping[str, Tensor],
        teacher_outputs: Mapping[str, Tensor],
    ) -> str:
        """Return a line for the log with the outputs that are compared."""
        shape = tuple(student_outputs[self.student_tap].shape[1:])
        theirs = ' and '.join(
            f"'{tap}' {tuple(teacher_outputs[tap].shape[1:])}"
            for tap in self.teacher_taps
        )
        return (
            f"{self.key} compares '{self.student_tap}' {shape} of the student with "
            f'{theirs} of the teacher'
        )

    def map_classes(self) -> None:
        """Use the class maps of the teachers; see :class:`LogitMatch`.

        Raises:
            UserError: for deep supervision by labels of other classes.
        """
        if self.logits is not None:
            self.logits.set_class_map(self.teacher.class_map)
        elif isinstance(self.loss, DeepSupervisionLoss):
            inner = self.loss.loss
            uses_labels = inner.needs_labels or inner.teacher_correction is not None
            if uses_labels and not self.teacher.class_map.identity:
                raise UserError(
                    f'{self.key}.loss: {type(inner).__name__} uses labels with these '
                    "settings, but the classes are the teacher's, which differ from "
                    "the dataset's; use a loss without labels, such as "
                    "dict(type='KDLoss')"
                )

    def _teacher_output(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Return the output of the teacher, or the mean of those of several."""
        sigmoid = (
            self.logits is not None and self.logits.teacher_activation == 'sigmoid'
        )
        align_corners = getattr(self.loss, 'align_corners', False)
        return self.teacher.output(outputs, sigmoid, align_corners)

    def check_run(self, progress: Progress) -> None:
        """Raise a UserError if the schedule is invalid for the length of the run."""
        try:
            if self.schedule is not None:
                self.schedule.check(progress)
            self.loss.check_run(progress)
        except ValueError as error:
            raise UserError(f'{self.key}.{error}') from error

    def factor(self, progress: Progress) -> float:
        """Return the scheduled share of the loss's weight."""
        return 1.0 if self.schedule is None else self.schedule.factor(progress)

    def multiplier(self, progress: Progress) -> float:
        """Return the current factor of :meth:`value`."""
        weight = 1.0 if self.auto is None else self.auto.value
        return self.factor(progress) * weight

    def __call__(
        self,
        student_outputs: Mapping[str, Tensor],
        teacher_outputs: Mapping[str, Tensor],
        target: Tensor | None,
        inside: Tensor | None,
        progress: Progress,
        task: Tensor,
    ) -> dict[str, Tensor]:
        """Return the weighted loss and further values to log, by name.

        Args:
            student_outputs: Outputs of the student by tap.
            teacher_outputs: Outputs of the teachers by full tap.
            target: Labels of the batch.
            inside: Boolean (N, H, W), pixels of the images without their padding; None
                if the labels are not maps.
            progress: Progress of the run.
            task: Sum of the student's own losses.
        """
        self.loss.progress = progress
        if self.factor(progress):
            labels = None if inside is not None and self.compares_all else target
            value = self.value(student_outputs, teacher_outputs, labels, inside)
            self._balance(task, value, student_outputs[self.student_tap])
            value = self.multiplier(progress) * value
            logged = self.loss.logged()
        else:  # keep a graph, since DDP waits for the gradient of every parameter
            zeros = (0 * parameter.sum() for parameter in self.loss.parameters())
            value = sum(zeros, torch.zeros(()))
            logged = {}
        if self.schedule is not None or self.auto is not None:
            weight = self.multiplier(progress) * self.loss.loss_weight
            logged['weight'] = torch.tensor(weight)
        return {f'distill.{self.name}': value} | {
            f'distill.{self.name.replace("loss", what)}': number
            for what, number in logged.items()
        }

    def value(
        self,
        student_outputs: Mapping[str, Tensor],
        teacher_outputs: Mapping[str, Tensor],
        target: Tensor | None,
        inside: Tensor | None,
    ) -> Tensor:
        """Return the loss without its schedule and automatic weight.

        See :meth:`__call__` for the arguments. Without a target, all pixels inside of
        the images are compared.
        """
        student = student_outputs[self.student_tap]
        teacher = self._teacher_output(teacher_outputs)
        if self.logits is not None:
            student, teacher, target = self.logits.align(student, teacher, target)
        if target is None and inside is not None:
            target = self.loss.unlabeled_target(inside)
        try:
            return self.loss(student, teacher, target)
        except (TypeError, ValueError) as error:
            raise UserError(f'{self.key}: {error}') from error

    def _balance(self, task: Tensor, value: Tensor, tap: Tensor) -> None:
        """Measure an automatic weight that is not fixed yet.

        Raises:
            UserError: if the gradient of the task loss does not reach the tap, or is
                recomputed on the way, which allows no gradient of a tap.
        """
        if self.auto is None or self.auto.fixed:
            return
        try:
            reached = self.auto.measure(task, value, tap)
        except RuntimeError as error:
            if 'checkpoint' not in str(error):
                raise
            raise UserError(
                f"{self.key}.loss_weight: 'auto' needs the gradients at "
                f"'{self.student_tap}', but a later block has with_cp=True; set "
                'with_cp=False, name another tap with student, or set a number'
            ) from error
        if not reached:
            raise UserError(
                f"{self.key}.loss_weight: 'auto' compares the gradients at "
                f"'{self.student_tap}', which that of the task loss does not reach; "
                'name another tap with student, or set a number'
            )


def teacher_taps(losses: Sequence[TappedLoss]) -> list[str]:
    """Return the teacher's taps of losses, each of them once."""
    return list(dict.fromkeys(tap for loss in losses for tap in loss.teacher_taps))
