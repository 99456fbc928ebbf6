"""One distillation loss as the config describes it."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from mmkd.errors import UserError
from mmkd.losses.schedule import Progress, WeightSchedule
from mmkd.registry import MODELS, qualified

from .taps import find_tap, logit_width


@dataclass
class Term:
    """What the Distiller, and not the loss, knows of a distillation loss.

    ``name`` is the loss's in the config; the taps name a module of each network;
    ``schedule`` is None where the weight never changes.
    """

    name: str
    student_tap: str | None
    teacher_tap: str | None
    schedule: WeightSchedule | None

    @property
    def key(self) -> str:
        """Where the config describes it."""
        return f'model.distill_losses.{self.name}'

    def factor(self, progress: Progress) -> float:
        """Return the share of the loss's weight at a position of the run."""
        return 1.0 if self.schedule is None else self.schedule.factor(progress)

    def find_student_tap(self, student: nn.Module) -> None:
        """Replaces the default by the student's usual tap, or checks the name."""
        self.student_tap = find_tap(student, self.student_tap, f'{self.key}.student')

    def find_teacher_tap(self, teacher: nn.Module, student: nn.Module) -> None:
        """The same of the teacher, which must give as many classes as the student."""
        key = f'{self.key}.teacher'
        self.teacher_tap = find_tap(teacher, self.teacher_tap, key)
        theirs = logit_width(teacher, self.teacher_tap)
        ours = logit_width(student, self.student_tap)
        if None not in (theirs, ours) and theirs != ours:
            raise UserError(
                f"{key}: the teacher's '{self.teacher_tap}' gives {theirs} classes, "
                f"the student's '{self.student_tap}' {ours}; take a teacher trained on "
                'the same classes, or other taps'
            )


def build_term(name: str, config: Mapping) -> tuple[Term, nn.Module]:
    """Builds a loss, without what the Distiller keeps: its taps and schedule.

    Raises:
        UserError: naming the config key, for a bad name, type or argument.
    """
    config = dict(config)
    term = Term(name, config.pop('student', None), config.pop('teacher', None), None)
    schedule = config.pop('schedule', None)
    if 'loss' not in name or '.' in name:
        raise UserError(
            f"{term.key}: MMEngine trains only what has 'loss' in its name, and a name "
            f"has no dot; call it 'loss_{name.replace('.', '_')}'"
        )
    try:
        loss = MODELS.build(qualified(config))
        if schedule is not None:
            term.schedule = WeightSchedule(**schedule)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f'{term.key}: {error.args[0]}') from error
    return term, loss
