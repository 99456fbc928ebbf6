"""What every study trains: teachers, the settings of each method, the comparison."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from studies.grid import Grid, Tuning

from studies.trials import Trial, Trials

TUNING_SEED = 10


@dataclass(frozen=True)
class Plan:
    """The trainings that a study cannot do without.

    Args:
        name: Of the folder in which they are.
        student: Config of the student alone.
        distilled: Config of the student with a loss to fill in.
        teacher: The training of the comparison's teacher.
        tuning_teacher: That of one which has not seen what is held out.
        grids: Of each method.
        metric: What a run is judged by.
        held_out: Options of a training in tuning: a part of the training set is held
            out and validated on.
        seeds: Of the comparison.
    """

    name: str
    student: str
    distilled: str
    teacher: Trial
    tuning_teacher: Trial
    grids: Mapping[str, Grid]
    metric: str
    held_out: Mapping
    seeds: range

    @property
    def work(self) -> Path:
        """Where the trainings are."""
        return Path('work_dirs/studies', self.name)

    def losses(self, loss: Mapping, options: Mapping) -> dict[str, dict]:
        """What a loss of the grids is in a config."""
        return {'loss': dict(loss)}

    def alone(
        self, group: str, seed: int, options: Mapping, name: str = 'alone'
    ) -> Trial:
        """The student without a teacher."""
        return Trial(group, name, seed, self.student, options)

    def distil(
        self,
        group: str,
        name: str,
        seed: int,
        loss: Mapping,
        options: Mapping,
        teacher: Trial | None = None,
        config: str | None = None,
    ) -> Trial:
        """A distillation: outside of the comparison from the tuning's teacher."""
        usual = self.teacher if group == 'methods' else self.tuning_teacher
        teacher = teacher or usual
        checkpoint = teacher.run(self.work).checkpoint
        every = {'model.teacher.checkpoint': str(checkpoint), **options}
        every |= flat(self.losses(loss, options), 'model.distill_losses')
        return Trial(group, name, seed, config or self.distilled, every, teacher)

    def teachers(self, trials: Trials) -> list[Trial]:
        """Those that the students learn from."""
        return [self.teacher, self.tuning_teacher]

    def tuning(self, trials: Trials) -> list[Trial]:
        """The settings of each method, on what is held out of the training set."""
        return [self.alone('tuning', TUNING_SEED, self.held_out)] + [
            self.distil('tuning', name, TUNING_SEED, loss, self.held_out)
            for method, grid in self.grids.items()
            for name, loss in grid.cells(method).items()
        ]

    def methods(self, trials: Trials) -> list[Trial]:
        """The comparison: each method at its best setting."""
        tuned = self.tuned(trials)
        losses = {method: tuned.best(method) for method in self.grids}
        return [
            trial
            for seed in self.seeds
            for trial in (
                self.alone('methods', seed, {}),
                *(
                    self.distil('methods', method, seed, loss, {})
                    for method, loss in losses.items()
                ),
            )
        ]

    def tuned(self, trials: Trials) -> Tuning:
        """What the settings gave."""
        return Tuning(trials, self.grids, self.metric)


def flat(config: Mapping, place: str) -> dict:
    """A nested config as overrides of what is at a place."""
    found = {}
    for key, value in config.items():
        here = f'{place}.{key}'
        found |= flat(value, here) if isinstance(value, dict) else {here: value}
    return found
