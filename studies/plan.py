"""Trainings of a study: teachers, settings of each method, comparison."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmkd.cli.console import one_line_errors, silence_import_warnings
from mmkd.errors import UserError

from .grid import Grid, Tuning
from .trials import Trial, Trials

TUNING_SEED = 10


@dataclass(frozen=True)
class Plan:
    """Trainings that every study has.

    Args:
        folder: Folder of the study; distilled.py there is the config of a distillation,
            but for the teacher's checkpoint and the losses.
        student: Config of the baseline.
        teacher: Training of the comparison's teacher.
        tuning_teacher: Training of a teacher without the held-out data.
        grids: Of each method.
        metric: By which runs are compared.
        held_out: Options of a training in tuning: a part of the training set is held
            out and validated on.
        seeds: Of the comparison.
    """

    folder: Path
    student: str
    teacher: Trial
    tuning_teacher: Trial
    grids: Mapping[str, Grid]
    metric: str
    held_out: Mapping
    seeds: range

    @property
    def work_dir(self) -> Path:
        """Folder of the trainings."""
        return Path('work_dirs/studies', self.folder.name)

    @property
    def trials(self) -> Trials:
        """Finished trials."""
        return Trials(self.folder / 'trials.jsonl', self.work_dir)

    def losses(self, loss: Mapping, options: Mapping) -> dict[str, dict]:
        """Return the distill_losses of a grid's loss."""
        return {'loss': dict(loss)}

    def baseline(
        self, group: str, seed: int, options: Mapping, name: str = 'baseline'
    ) -> Trial:
        """Return a training of the student without a teacher."""
        return Trial(group, name, seed, self.student, options)

    def distill(
        self,
        group: str,
        name: str,
        seed: int,
        loss: Mapping,
        options: Mapping,
        teacher: Trial | None = None,
    ) -> Trial:
        """Return a distillation, by default from the tuning's teacher in tuning."""
        usual = self.teacher if group == 'methods' else self.tuning_teacher
        teacher = teacher or usual
        checkpoint = teacher.training(self.work_dir).directory.checkpoint
        every = {'teacher.checkpoint': str(checkpoint), **options}
        every |= flatten(self.losses(loss, options), 'distill_losses')
        config = str(self.folder / 'distilled.py')
        return Trial(group, name, seed, config, every, teacher)

    def teachers(self, trials: Trials) -> list[Trial]:
        """Return the trainings of the teachers."""
        return [self.teacher, self.tuning_teacher]

    def tuning(self, trials: Trials) -> list[Trial]:
        """Return a training for each setting of each method, on held-out data."""
        return [self.baseline('tuning', TUNING_SEED, self.held_out)] + [
            self.distill('tuning', name, TUNING_SEED, loss, self.held_out)
            for method, grid in self.grids.items()
            for name, loss in grid.cells(method).items()
        ]

    def methods(self, trials: Trials) -> list[Trial]:
        """Return the comparison: each method with its best setting."""
        tuned = self.tuned(trials)
        losses = {method: tuned.best(method) for method in self.grids}
        return [
            trial
            for seed in self.seeds
            for trial in (
                self.baseline('methods', seed, {}),
                *(
                    self.distill('methods', method, seed, loss, {})
                    for method, loss in losses.items()
                ),
            )
        ]

    def tuned(self, trials: Trials) -> Tuning:
        """Return the results of the tuning."""
        return Tuning(trials, self.grids, self.metric)


def flatten(config: Mapping, place: str) -> dict:
    """Return a nested config as overrides of a key."""
    found = {}
    for key, value in config.items():
        here = f'{place}.{key}'
        found |= flatten(value, here) if isinstance(value, dict) else {here: value}
    return found


def run_study(
    doc: str,
    trials: Trials,
    stages: Sequence[Callable[[Trials], Sequence[Trial]]],
    draw: Callable[[Trials], None],
) -> None:
    """Train what is missing, stage by stage, then draw the page.

    Args:
        doc: Description for ``--help``.
        trials: Finished trials.
        stages: Each returns its trials, whose settings may depend on earlier stages.
        draw: Fills the page.
    """
    kind = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=doc, formatter_class=kind)
    parser.add_argument('--jobs', type=int, default=1, help='trainings at once')
    parser.add_argument('--draw', action='store_true', help='train nothing')
    args = parser.parse_args()
    silence_import_warnings()
    with one_line_errors():
        for stage in stages:
            if not args.draw:
                trials.complete(stage(trials), args.jobs)
            elif missing := trials.missing(stage(trials)):
                raise UserError(
                    f'{trials.path}: trials are missing, such as {missing[0].name}; '
                    'leave out --draw to train them'
                )
        draw(trials)
