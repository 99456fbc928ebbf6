"""Plan of a study: training of teachers, tuning of each method, comparison."""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmkd.cli.console import import_packages, one_line_errors
from mmkd.errors import UserError

from .grid import Grid, Tuning
from .trials import Trial, Trials, checkpoint_of

TUNING_SEED = 10
Stage = Callable[[Trials], Sequence[Trial]]


@dataclass(frozen=True)
class Plan:
    """Trainings that every study has.

    Args:
        folder: Folder of the study. Its distilled.py is the config of a distillation
            without the teacher's checkpoint and the losses.
        student: Config of the baseline.
        teacher: Training of the teacher of the comparison.
        tuning_teacher: Training of a teacher without the held-out data.
        grids: Grid of each method.
        metric: Metric of the comparison.
        held_out: Options of trainings in tuning, which validate on a held-out part of
            the training set.
        seeds: Seeds of the comparison.
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
        """Return the ``distill_losses`` with the loss of a grid."""
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
        config: str = 'distilled',
    ) -> Trial:
        """Return a distillation, by default from the tuning teacher.

        Args:
            group: Group of the trial.
            name: Method of the trial.
            seed: Seed of the trial.
            loss: Config of the loss.
            options: Overrides of config keys.
            teacher: Training of the teacher. Default: the tuning teacher, and in the
                group ``methods`` the teacher of the comparison.
            config: Name of the config in the study's folder.
        """
        usual = self.teacher if group == 'methods' else self.tuning_teacher
        teacher = teacher or usual
        checkpoint = checkpoint_of(teacher, self.work_dir)
        every = {'teacher.checkpoint': checkpoint, **options}
        every |= flatten(self.losses(loss, options), 'distill_losses')
        path = str(self.folder / f'{config}.py')
        return Trial(group, name, seed, path, every, teacher)

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
        """Return the trainings of the comparison, each method with its best setting."""
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
    """Convert a nested config to overrides of keys."""
    found = {}
    for key, value in config.items():
        here = f'{place}.{key}'
        found |= flatten(value, here) if isinstance(value, dict) else {here: value}
    return found


def run_study(
    doc: str,
    trials: Trials,
    stages: Sequence[Stage],
    draw: Callable[[Trials], None],
) -> None:
    """Run the missing trainings stage by stage, then draw the page.

    Args:
        doc: Description for ``--help``.
        trials: Finished trials.
        stages: Functions that return the trials of a stage, whose settings may depend
            on earlier stages.
        draw: Function that draws the page.
    """
    kind = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=doc, formatter_class=kind)
    parser.add_argument('--jobs', type=int, default=1, help='simultaneous trainings')
    parser.add_argument('--draw', action='store_true', help='train nothing')
    args = parser.parse_args()
    import_packages()
    # The trainings import modules of the studies.
    paths = os.getcwd(), os.environ.get('PYTHONPATH')
    os.environ['PYTHONPATH'] = os.pathsep.join(filter(None, paths))
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
