"""Distillation loss with the outputs that it compares and its schedule."""

from collections.abc import Mapping

import torch
from mmengine.config import Config
from torch import Tensor, nn

from mmkd.engine.config_errors import naming_keys
from mmkd.errors import UserError
from mmkd.losses import Adapter, FeatureLoss
from mmkd.losses.schedule import Progress, WeightSchedule
from mmkd.registry import MODELS, qualified

from .class_map import ClassMap
from .head_settings import loss_settings
from .logit_match import LogitMatch
from .tap_checks import check_gradient, check_logits
from .taps import find_tap, num_classes


class TappedLoss:
    """Distillation loss between the outputs of two modules, built from its config.

    Args:
        name: Name of the loss in ``distill_losses``; must contain "loss".
        config: Arguments of the loss, and optionally ``student`` and ``teacher``, the
            taps, i.e. the modules whose outputs are compared (default: see
            :func:`default_tap`), and ``schedule``, the arguments of a
            :class:`WeightSchedule` (default: a constant weight).

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
        self.named = set(config)
        settings = dict(config)
        if schedule is not None:
            settings['schedule'] = dict(schedule, type=WeightSchedule)
        try:
            with naming_keys(Config({'distill_losses': {name: settings}})):
                self.schedule = build_schedule(schedule)
                self.loss = MODELS.build(qualified(config))
        except UserError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f'{self.key}: {error.args[0]}') from error
        # '' stands for the logits; find_taps sets the name.
        self.student_tap: str = taps['student'] or getattr(self.loss, 'student_tap', '')
        self.teacher_tap: str = taps['teacher'] or getattr(self.loss, 'teacher_tap', '')
        self.logits: LogitMatch | None = None  # None: features are compared
        if not isinstance(self.loss, FeatureLoss) and self.adapter is None:
            self.logits = LogitMatch(self.key, self.loss, self.named)

    @property
    def adapter(self) -> Adapter | None:
        """The loss's adapter of the student's output; None without one."""
        return getattr(self.loss, 'adapter', None)

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
        teacher = teacher_outputs[self.teacher_tap]
        try:
            self.loss.build_adapter(student, teacher)
        except ValueError as error:
            raise UserError(f'{self.key}: {error}') from error

    def find_taps(self, student: nn.Module, teacher: nn.Module) -> None:
        """Resolve both taps, and take what the config leaves open from the heads.

        Raises:
            UserError: for an unknown module or mismatched outputs; the message names
                the config key.
        """
        key = f'{self.key}.student'
        self.student_tap = find_tap(student, self.student_tap or None, key)
        key = f'{self.key}.teacher'
        self.teacher_tap = find_tap(teacher, self.teacher_tap or None, key, frozen=True)
        if self.logits is not None:
            self.logits.find(student, teacher, (self.student_tap, self.teacher_tap))
            return
        known = loss_settings(student, '') | dict(num_classes=num_classes(student))
        for name in {'ignore_index', 'align_corners', 'num_classes'} - self.named:
            if hasattr(self.loss, name) and known.get(name) is not None:
                setattr(self.loss, name, known[name])

    def check_outputs(
        self,
        student_outputs: Mapping[str, Tensor],
        teacher_outputs: Mapping[str, Tensor],
        images: Tensor,
        resized: Tensor,
    ) -> None:
        """Raise a UserError if the outputs of the taps cannot be compared.

        Args:
            student_outputs: Outputs of the student by tap.
            teacher_outputs: Outputs of the teacher by tap.
            images: The batch.
            resized: The batch as the teacher sees it.
        """
        student = student_outputs[self.student_tap]
        teacher = teacher_outputs[self.teacher_tap]
        if self.logits is not None:
            if student.ndim == teacher.ndim:
                student, teacher, _ = self.logits.align(student, teacher, None)
            taps = self.student_tap, self.teacher_tap
            check_logits(self.key, taps, student, teacher, images, resized)
        check_gradient(f'{self.key}.student', self.student_tap, student)

    def set_class_map(self, class_map: ClassMap) -> None:
        """Set the map of outputs over the teacher's classes; see `LogitMatch`."""
        if self.logits is not None:
            self.logits.set_class_map(class_map)

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

    def __call__(
        self,
        student_outputs: Mapping[str, Tensor],
        teacher_outputs: Mapping[str, Tensor],
        target: Tensor | None,
        progress: Progress,
    ) -> dict[str, Tensor]:
        """Return the weighted loss and further values to log, by name.

        Args:
            student_outputs: Outputs of the student by tap.
            teacher_outputs: Outputs of the teacher by tap.
            target: Labels of the batch.
            progress: Progress of the run.
        """
        self.loss.progress = progress
        factor = self.factor(progress)
        if factor:
            student = student_outputs[self.student_tap]
            teacher = teacher_outputs[self.teacher_tap]
            if self.logits is not None:
                student, teacher, target = self.logits.align(student, teacher, target)
            try:
                value = factor * self.loss(student, teacher, target)
            except (TypeError, ValueError) as error:
                raise UserError(f'{self.key}: {error}') from error
        else:  # keep a graph, since DDP waits for the gradient of every parameter
            zeros = (0 * parameter.sum() for parameter in self.loss.parameters())
            value = sum(zeros, torch.zeros(()))
        logged = self.loss.logged()
        if self.schedule is not None:
            logged['weight'] = torch.tensor(factor * self.loss.loss_weight)
        return {f'distill.{self.name}': value} | {
            f'distill.{self.name.replace("loss", what)}': number
            for what, number in logged.items()
        }


def build_schedule(config: Mapping | None) -> WeightSchedule | None:
    """Build the schedule of a loss; return None without one."""
    return None if config is None else WeightSchedule(**config)
