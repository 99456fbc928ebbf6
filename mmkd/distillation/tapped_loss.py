"""A distillation loss, the outputs it compares and its schedule."""

from collections.abc import Mapping

import torch
from mmengine.config import Config
from torch import Tensor, nn

from mmkd.engine.config_errors import naming_keys
from mmkd.errors import UserError
from mmkd.losses.schedule import Progress, WeightSchedule
from mmkd.registry import MODELS, qualified

from .taps import find_tap, num_outputs


class TappedLoss:
    """Distillation loss between the outputs of two modules, as a config describes it.

    Args:
        name: Name of the loss in ``distill_losses``; it contains "loss".
        config: Arguments of the loss and ``student`` and ``teacher``, the taps, that
            is, the modules whose outputs are compared (default: see :func:`find_tap`),
            and ``schedule``, the arguments of a :class:`WeightSchedule` (default:
            a constant weight).

    Raises:
        UserError: naming the config key, for a bad name, type or argument.
    """

    def __init__(self, name: str, config: Mapping) -> None:
        config = dict(config)
        self.name = name
        self.key = f'distill_losses.{name}'
        if 'loss' not in name or '.' in name:
            raise UserError(
                f"{self.key}: MMEngine trains only what has 'loss' in its name, and a "
                f"name has no dot; call it 'loss_{name.replace('.', '_')}'"
            )
        self.student_tap = config.pop('student', None)
        self.teacher_tap = config.pop('teacher', None)
        schedule = config.pop('schedule', None)
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

    def find_taps(self, student: nn.Module, teacher: nn.Module) -> None:
        """Resolve both taps, which must have the same number of outputs.

        Raises:
            UserError: naming the config key.
        """
        key = f'{self.key}.student'
        self.student_tap = find_tap(student, self.student_tap, key)
        key = f'{self.key}.teacher'
        self.teacher_tap = find_tap(teacher, self.teacher_tap, key)
        theirs = num_outputs(teacher, self.teacher_tap)
        ours = num_outputs(student, self.student_tap)
        if None not in (theirs, ours) and theirs != ours:
            raise UserError(
                f"{key}: the teacher's '{self.teacher_tap}' gives {theirs} classes, "
                f"the student's '{self.student_tap}' {ours}; use a teacher trained on "
                'the same classes, or other taps'
            )

    def check_run(self, progress: Progress) -> None:
        """Raise a UserError if the schedule does not fit the length of the run."""
        try:
            if self.schedule is not None:
                self.schedule.check(progress)
            self.loss.check_run(progress)
        except ValueError as error:
            raise UserError(f'{self.key}.{error}') from error

    def factor(self, progress: Progress) -> float:
        """Return the share of the loss's weight at a position of the run."""
        return 1.0 if self.schedule is None else self.schedule.factor(progress)

    def __call__(
        self,
        student_outputs: Mapping[str, Tensor],
        teacher_outputs: Mapping[str, Tensor],
        target: Tensor | None,
        progress: Progress,
    ) -> dict[str, Tensor]:
        """Return the weighted loss and what to log beside it, by name.

        Args:
            student_outputs: The student's outputs by tap.
            teacher_outputs: The teacher's.
            target: Labels of the batch.
            progress: Position in the run.
        """
        self.loss.progress = progress
        factor = self.factor(progress)
        if factor:
            try:
                value = factor * self.loss(
                    student_outputs[self.student_tap],
                    teacher_outputs[self.teacher_tap],
                    target,
                )
            except (TypeError, ValueError) as error:
                raise UserError(f'{self.key}: {error}') from error
        else:  # with a graph: DDP waits for the gradient of each parameter
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
    """Build a loss's schedule, if it has one."""
    return None if config is None else WeightSchedule(**config)
