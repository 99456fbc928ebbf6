"""Trials of a study, and a file with the results of the finished ones."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from mmkd.engine.atomic_file import write_atomically
from mmkd.errors import UserError
from mmkd.origin import commit
from mmkd.runs.run_directory import RunDirectory
from mmkd.runs.run_queue import RunQueue
from mmkd.runs.training import Training


@dataclass(frozen=True, eq=False)
class Trial:
    """Training of a study.

    Args:
        group: Part of the study; the trial's name is group, ``method`` and ``seed``.
        method: Name of the method.
        seed: Seed of all random numbers.
        config: Path of the config.
        options: Overrides of config keys, as in ``--cfg-options``.
        teacher: Trial that trains the teacher; None without a teacher.
    """

    group: str
    method: str
    seed: int
    config: str
    options: Mapping[str, object] = field(default_factory=dict)
    teacher: 'Trial | None' = None

    @property
    def key(self) -> tuple[str, str, int]:
        """Group, method and seed."""
        return self.group, self.method, self.seed

    @property
    def name(self) -> str:
        """Displayed name."""
        return ' '.join(map(str, self.key))

    def training(self, folder: Path) -> Training:
        """Return the training, whose work_dir is a subfolder of ``folder``.

        Its path has neither commas nor blanks: ``--cfg-options``, which contains the
        path of a teacher's checkpoint, splits a value at commas and removes blanks.
        """
        parts = (part.replace(',', '').replace(' ', '_') for part in self.key[:2])
        place = folder.joinpath(*parts, f'seed_{self.seed}')
        options = {'randomness.seed': self.seed, **self.options}
        return Training(self.config, place, options, self.name)


@cache  # a plan asks for the checkpoint of the same teacher hundreds of times
def checkpoint_of(trial: Trial, folder: Path) -> str:
    """Return the path of the last checkpoint of a training.

    Args:
        trial: The training.
        folder: Folder of all trainings.
    """
    return str(trial.training(folder).directory.checkpoint)


class Trials:
    """Finished trials of a study, in a versioned file with one line per trial.

    A trial in the file is not trained again, even if its checkpoints are missing; to
    train it again, delete its line and its folder.

    Args:
        path: Path of the file, which may not exist yet.
        folder: Folder of the trainings.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self.path, self.folder = path, folder
        lines = path.read_text().splitlines() if path.exists() else ()
        self.records = {_key(record): record for record in map(json.loads, lines)}

    def __iter__(self) -> Iterator[dict]:
        return iter(self.records.values())

    def of(self, group: str) -> dict[str, dict[int, dict]]:
        """Return the records of a group by method and seed."""
        found: dict[str, dict[int, dict]] = {}
        for record in self:
            if record['group'] == group:
                found.setdefault(record['method'], {})[record['seed']] = record
        return found

    def values(self, group: str, metric: str) -> dict[str, dict[int, float]]:
        """Return the last value of a metric in a group, by method and seed."""
        return {
            method: {seed: record['metrics'][metric] for seed, record in seeds.items()}
            for method, seeds in self.of(group).items()
        }

    def missing(self, trials: Sequence[Trial]) -> list[Trial]:
        """Return the trials that are not in the file.

        Raises:
            UserError: if a trial's line has other options.
        """
        for trial in trials:
            record = self.records.get(trial.key)
            if record and record['options'] != _plain(trial.options):
                folder = trial.training(self.folder).work_dir
                raise UserError(
                    f'{self.path}: {trial.name} was trained with other options; '
                    f'to train it again, delete its line, and {folder} if it exists'
                )
        return [trial for trial in trials if trial.key not in self.records]

    def complete(self, trials: Sequence[Trial], jobs: int = 1) -> None:
        """Run missing trials, and record those that finish even if others fail.

        A teacher in the file whose checkpoint is missing is trained again if a missing
        trial needs it.

        Raises:
            UserError: in the cases of :meth:`missing`, or if a training fails.
        """
        missing = self.missing(trials)
        wanted = {t.key: t for trial in missing for t in (trial.teacher, trial) if t}
        trainings = [trial.training(self.folder) for trial in wanted.values()]
        try:
            failed = RunQueue(trainings, jobs).execute() if trainings else []
        finally:
            self.add(missing)
        if failed:
            names = ', '.join(training.name for training in failed)
            raise UserError(f'{len(failed)} of {len(trainings)} trials failed: {names}')

    def add(self, trials: Sequence[Trial]) -> None:
        """Record the finished ones among some trials."""
        for trial in trials:
            run = trial.training(self.folder).directory
            if trial.key not in self.records and run.finished:
                self.records[trial.key] = record_of(trial, run)
        self.records = dict(
            sorted(self.records.items())
        )  # as they are read from the file
        lines = map(json.dumps, self.records.values())
        with write_atomically(self.path) as new:
            new.write_text(''.join(f'{line}\n' for line in lines))


def record_of(trial: Trial, run: RunDirectory) -> dict:
    """Return the record of a finished training.

    ``training_seconds`` is the median time of an iteration, times their number: CPU
    time if :class:`CpuTimeHook` logs it, otherwise elapsed time.
    """
    scalars = run.scalars
    step = run.median('cpu_time') or run.median('time') or 0.0
    return dict(
        group=trial.group,
        method=trial.method,
        seed=trial.seed,
        options=_plain(trial.options),
        length=run.total,
        metrics=_numbers(run.last_metrics),
        classes=_numbers(run.class_iou),
        losses=_numbers(
            {k: float(scalars.column(k)[-1]) for k in scalars.names if 'loss' in k}
        ),
        seconds=round(run.seconds),
        training_seconds=round(step * run.total, 3),
        environment=run.environment,
        commit=commit(),
    )


def _key(record: Mapping) -> tuple[str, str, int]:
    return record['group'], record['method'], record['seed']


def _numbers(values: Mapping[str, float]) -> dict[str, float]:
    """Remove NaN, which JSON does not support."""
    return {key: value for key, value in values.items() if value == value}


def _plain(options: Mapping) -> dict:
    """Convert options to the types of JSON, as they are read from the file."""
    return json.loads(json.dumps(dict(options)))
