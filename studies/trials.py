"""The trainings of a study, and the scalars of those that are done, in one file."""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmkd.engine.run_directory import RunDirectory
from mmkd.engine.run_queue import RunQueue
from mmkd.engine.training import Training
from mmkd.errors import UserError


@dataclass(frozen=True)
class Trial:
    """A training of a study.

    Args:
        group: The part of the study that it belongs to.
        method: What is trained; with ``group`` and ``seed`` its name.
        seed: Of all that is random.
        config: Path of the config.
        options: What the trial changes in it, as for ``--cfg-options``.
        teacher: The trial whose checkpoint it distils from, if it does.
    """

    group: str
    method: str
    seed: int
    config: str
    options: Mapping[str, object] = field(default_factory=dict)
    teacher: 'Trial | None' = None

    @property
    def key(self) -> tuple[str, str, int]:
        """Which of the study's trials this is."""
        return self.group, self.method, self.seed

    @property
    def name(self) -> str:
        """What to call it on a screen."""
        return ' '.join(map(str, self.key))

    def run(self, folder: Path) -> Training:
        """The training in its place below a folder."""
        place = folder / self.group / self.method / f'seed_{self.seed}'
        options = {'randomness.seed': self.seed, **self.options}
        return Training(self.config, place, options, self.name)


class Trials:
    """The finished trials of a study: a file under version control, a line each.

    What is in the file is not trained again, whatever has become of its checkpoints; to
    train it anew, delete its line and its folder.

    Args:
        path: Of the file; it need not exist.
        folder: Where the trainings are.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self.path, self.folder = path, folder
        lines = path.read_text().splitlines() if path.exists() else ()
        self.records = {_key(record): record for record in map(json.loads, lines)}

    def __iter__(self) -> Iterator[dict]:
        return iter(self.records.values())

    def of(self, group: str) -> dict[str, dict[int, dict]]:
        """The records of a group, by method and seed."""
        found: dict[str, dict[int, dict]] = {}
        for record in self:
            if record['group'] == group:
                found.setdefault(record['method'], {})[record['seed']] = record
        return found

    def values(self, group: str, metric: str) -> dict[str, dict[int, float]]:
        """A metric of a group's trials at their end, by method and seed."""
        return {
            method: {seed: record['metrics'][metric] for seed, record in seeds.items()}
            for method, seeds in self.of(group).items()
        }

    def missing(self, trials: Sequence[Trial]) -> list[Trial]:
        """Those that have no line yet.

        Raises:
            UserError: if a trial's line has other options.
        """
        for trial in trials:
            record = self.records.get(trial.key)
            if record and record['options'] != _plain(trial.options):
                raise UserError(
                    f'{self.path}: {trial.name} was trained with other options; '
                    f'delete its line, and {trial.run(self.folder).work_dir} if it is '
                    'there, to train it anew'
                )
        return [trial for trial in trials if trial.key not in self.records]

    def complete(self, trials: Sequence[Trial], jobs: int = 1) -> None:
        """Trains what is missing, and writes down what comes out, whatever happens.

        A teacher that has a line, but no checkpoint any more, is trained anew for what
        is missing.

        Raises:
            UserError: as of :meth:`missing`, or if a training fails.
        """
        missing = self.missing(trials)
        wanted = {t.key: t for trial in missing for t in (trial.teacher, trial) if t}
        runs = [trial.run(self.folder) for trial in wanted.values()]
        try:
            failed = RunQueue(runs, jobs).execute() if runs else []
        finally:
            self.add(missing)
        if failed:
            names = ', '.join(run.name for run in failed)
            raise UserError(f'{len(failed)} of {len(runs)} trials failed: {names}')

    def add(self, trials: Sequence[Trial]) -> None:
        """Writes down those of some trials that have come to their end."""
        for trial in trials:
            run = trial.run(self.folder).directory
            if trial.key not in self.records and run.finished:
                self.records[trial.key] = record_of(trial, run)
        self.records = dict(sorted(self.records.items()))  # as they will be read
        lines = map(json.dumps, self.records.values())
        new = self.path.with_suffix('.new')
        new.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(''.join(f'{line}\n' for line in lines))
        new.replace(self.path)


def record_of(trial: Trial, run: RunDirectory) -> dict:
    """What is kept of a finished training."""
    last = next(reversed(run.training.values()))
    return dict(
        group=trial.group,
        method=trial.method,
        seed=trial.seed,
        options=_plain(trial.options),
        length=run.total,
        metrics=_numbers(run.last_metrics),
        classes=_numbers(run.class_iou),
        losses=_numbers({k: v for k, v in last.items() if 'loss' in k}),
        seconds=round(run.seconds),
        environment=run.environment,
        commit=commit(),
    )


def commit() -> str:
    """The checkout's, where there is one; ``-dirty`` if it is not all of it."""
    folder = str(Path(__file__).parent)
    command = ['git', '-C', folder, 'describe', '--always', '--dirty', '--exclude=*']
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def _key(record: Mapping) -> tuple[str, str, int]:
    return record['group'], record['method'], record['seed']


def _numbers(values: Mapping[str, float]) -> dict[str, float]:
    """Those that JSON knows: no NaN."""
    return {key: value for key, value in values.items() if value == value}


def _plain(options: Mapping) -> dict:
    """In JSON's types, as they come back from the file."""
    return json.loads(json.dumps(dict(options)))
