"""Distillation loss with the outputs that it compares and its schedule."""

from collections.abc import Mapping, Sequence
from typing import get_args

import torch
from mmengine.config import Config
from torch import Tensor, nn

from mmkd.engine.config_errors import naming_keys
from mmkd.errors import UserError
from mmkd.functional.teachers import Mean
from mmkd.losses import Adapter, FeatureLoss
from mmkd.losses.schedule import Progress, WeightSchedule
from mmkd.registry import MODELS, qualified

from .auto_weight import AutoWeight
from .head_settings import loss_settings
from .logit_match import LogitMatch
from .tap_checks import check_channels, check_gradient, check_kinds, check_tap
from .taps import find_tap, num_classes
from .teacher import Teacher
from .teacher_choice import TeacherTap, find_teachers
from .teacher_mean import average_outputs, common_map

# Config keys of the arguments of an AutoWeight.
BALANCE_KEYS = dict(balance='balance', iterations='balance_iterations')


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
        config = dict(config)
        self.name = name
        self.key = f'distill_losses.{name}'
        if 'loss' not in name or '.' in name:
            raise UserError(
                f"{self.key}: the name must contain 'loss', as MMEngine trains nothing "
                f"else, and no dot; rename it to 'loss_{name.replace('.', '_')}'"
            )
        taps = {name: config.pop(name, None) for name in ('student', 'teacher')}
        schedule = config.pop('schedule', None)
        self.mean: Mean | None = config.pop('teacher_mean', None)
        if self.mean not in (None, *get_args(Mean)):
            raise UserError(
                f"{self.key}.teacher_mean: must be 'probabilities' or 'logits', not "
                f'{self.mean!r}'
            )
        balance = {
            option: config.pop(name)
            for option, name in BALANCE_KEYS.items()
            if name in config
        }
        is_auto = config.get('loss_weight') == 'auto'
        if is_auto:
            config.pop('loss_weight')
        elif balance:
            raise UserError(
                f"{self.key}: balance is used only with loss_weight='auto'; set it, or "
                'remove balance'
            )
        self.named = set(config)
        settings = dict(config)
        if schedule is not None:
            settings['schedule'] = dict(schedule, type=WeightSchedule)
        try:
            with naming_keys(Config({'distill_losses': {name: settings}})):
                self.schedule = build_schedule(schedule)
                self.auto = AutoWeight(**balance) if is_auto else None
                self.loss = MODELS.build(qualified(config))
        except UserError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f'{self.key}: {error.args[0]}') from error
        if self.needs_labels and self.compares_all:
            raise UserError(
                f'{self.key}.ignore_index: None also compares pixels without a label, '
                f'but {type(self.loss).__name__} needs labels with these settings; '
                'remove ignore_index, or use a loss that needs none'
            )
        # '' stands for the logits; find_taps sets the name.
        self.student_tap: str = taps['student'] or getattr(self.loss, 'student_tap', '')
        self.given_teacher = taps['teacher']
        self.teachers: list[TeacherTap] = []  # set by find_taps
        self.logits: LogitMatch | None = None  # None: features are compared
        if not isinstance(self.loss, FeatureLoss) and self.adapter is None:
            self.logits = LogitMatch(self.key, self.loss, self.named)

    @property
    def teacher_taps(self) -> list[str]:
        """Taps of the teachers, with the name of a teacher that has one."""
        return [each.full for each in self.teachers]

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
        key = f'{self.key}.teacher'
        default = getattr(self.loss, 'teacher_tap', '')
        self.teachers = find_teachers(self.given_teacher, default, teachers, key)
        several = len(self.teachers) > 1
        if self.mean and not several:
            raise UserError(
                f'{self.key}.teacher_mean: there is only one teacher to average; '
                'remove it, or give several teachers a name each'
            )
        if self.logits is not None:
            self.logits.find(student, self.student_tap, self.teachers)
            return
        if several:
            names = ', '.join(map(repr, teachers))
            raise UserError(
                f'{key}: features of several teachers have no mean; name one of '
                f'{names}, and add a loss for each further teacher'
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
            for each in self.teachers:
                output, taps = teacher_outputs[each.full], (self.student_tap, each.full)
                resized = each.teacher.resolution.resize(images)
                check_tap(f'{self.key}.teacher', each.full, output, resized)
                check_kinds(self.key, taps, student, output)
            teacher = self._teacher_output(teacher_outputs)
            student, teacher, _ = self.logits.align(student, teacher, None)
            check_channels(self.key, taps, student, teacher)
        check_gradient(f'{self.key}.student', self.student_tap, student)

    def map_classes(self) -> None:
        """Use the class maps of the teachers; see :class:`LogitMatch`."""
        maps = [each.teacher.class_map for each in self.teachers]
        known = [each for each in maps if each is not None]
        if self.logits is not None:
            several = len(self.teachers) > 1
            self.logits.set_class_map(common_map(known) if several else known[0])

    def _teacher_output(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Return the output of the teacher, or the mean of those of several."""
        found = [outputs[each.full] for each in self.teachers]
        if len(found) == 1 or self.logits is None:
            return found[0]
        sigmoid = found[0].shape[1] == 1 or self.logits.teacher_activation == 'sigmoid'
        try:
            return average_outputs(
                found,
                [each.teacher.class_map for each in self.teachers],
                self.mean or 'probabilities',
                sigmoid,
                getattr(self.loss, 'align_corners', False),
            )
        except ValueError as error:
            raise UserError(f'{self.key}.teacher_mean: {error}') from error

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
        else:  # keep a graph, since DDP waits for the gradient of every parameter
            zeros = (0 * parameter.sum() for parameter in self.loss.parameters())
            value = sum(zeros, torch.zeros(()))
        logged = self.loss.logged()
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


def build_schedule(config: Mapping | None) -> WeightSchedule | None:
    """Build the schedule of a loss; return None without one."""
    return None if config is None else WeightSchedule(**config)


def teacher_taps(losses: Sequence[TappedLoss]) -> list[str]:
    """Return the teacher's taps of losses."""
    return [tap for loss in losses for tap in loss.teacher_taps]
