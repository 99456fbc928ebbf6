"""Run directory: config, logs and checkpoints of a training."""

import os
import re
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from mmengine.config import Config

from mmkd.engine.checkpoint_hook import noted_checkpoint
from mmkd.engine.recorded_config import read_recorded
from mmkd.errors import UserError

from .findings import METRICS
from .scalar_log import ScalarLog

LOGS = '*/vis_data/scalars.json'  # one per attempt, next to its config.py
TEACHER, TEACHERS, CLASS_IOU = 'teacher/', 'teacher.', 'IoU/'  # prefixes of metrics
_SEEDED = re.compile(r'seed_\d+')
_ENVIRONMENT = re.compile(r'^ {4}(Python|GPU [\d,]+|PyTorch|MMEngine): (.+)$', re.M)
_PROCESSES = re.compile(r'^ {4}GPU number: (\d{1,9})$', re.M)  # also without a GPU
_ORIGIN = re.compile(r'^ {4}(mmkd|command): (.+)$', re.M)  # logged by mmkd.Runner


class RunDirectory:
    """Folder of a training as written by MMEngine, without building or running code.

    Contents are cached: to follow a running training, create a new object each time.
    An attempt is one start of the training, from scratch or by resuming.

    Args:
        path: The work_dir.
        config: Config of the training. Default: the config recorded by the last
            attempt.
    """

    def __init__(self, path: str | Path, config: Config | None = None) -> None:
        self.path = Path(path)
        if config is not None:
            self.config = config

    @cached_property
    def config(self) -> Config:
        """Config recorded by the last attempt, read without executing code."""
        return read_recorded(self._logs[-1].with_name('config.py'))

    @property
    def method(self) -> str:
        """Name of the folder, or of the parent folder of ``seed_<seed>``."""
        path = self.path.resolve()
        name = path.parent.name if _SEEDED.fullmatch(path.name) else path.name
        return os.fsencode(name).decode(errors='replace')

    @property
    def seed(self) -> int:
        """Seed in the config; 0 without one."""
        return (self.config.get('randomness') or {}).get('seed') or 0

    @property
    def has_seed(self) -> bool:
        """True if the config sets the seed, False if it was drawn."""
        return (self.config.get('randomness') or {}).get('seed') is not None

    @property
    def distills(self) -> bool:
        """True for a training with a teacher."""
        return bool(self.config.get('teacher'))

    @property
    def unit(self) -> str:
        """``'epoch'`` for epoch-based training, else ``'iteration'``."""
        by_epoch = 'max_epochs' in (self.config.get('train_cfg') or {})
        return 'epoch' if by_epoch else 'iteration'

    @property
    def total(self) -> int:
        """Length of the run in iterations or epochs.

        Raises:
            UserError: if the config does not contain it.
        """
        loop = self.config.get('train_cfg') or {}
        total = loop.get('max_iters') or loop.get('max_epochs')
        if not total:
            name = self.config.filename
            raise UserError(
                f"train_cfg: '{name}' has no max_iters or max_epochs; add one of them"
            )
        return total

    @property
    def checkpoint(self) -> Path:
        """Path of the final checkpoint."""
        return self.path / f'{self.unit.removesuffix("ation")}_{self.total}.pth'

    @property
    def last_checkpoint(self) -> str:
        """File name of the last checkpoint so far; '' without one."""
        return noted_checkpoint(self.path)

    @cached_property
    def _logs(self) -> list[Path]:
        return sorted(path for path in self.path.glob(LOGS) if path.is_file())

    @cached_property
    def scalars(self) -> ScalarLog:
        """Logged scalars of all attempts."""
        return ScalarLog(self._logs)

    @property
    def done(self) -> int:
        """Completed iterations or epochs so far."""
        last = self.scalars.last
        if 'iter' in last:
            return last.get('epoch', last['iter'] + 1) - 1
        return last.get('step', 0)

    @property
    def seconds(self) -> float:
        """Total time of all attempts so far."""
        return sum(max(0.0, log.stat().st_mtime - _start(log)) for log in self._logs)

    def median(self, scalar: str) -> float | None:
        """Return the median of a training scalar; None if it is not logged."""
        values = self.scalars.column(scalar)
        values = values[~np.isnan(values)]
        return float(np.median(values)) if len(values) else None

    @cached_property
    def validations(self) -> dict[int, dict[str, float]]:
        """Metrics of the validations by iteration or epoch.

        Later attempts override earlier ones. Metrics of teachers and of single
        classes are not included.
        """
        other = ('step', 'time', 'data_time', TEACHER, TEACHERS, CLASS_IOU)
        kept = {
            step: {k: v for k, v in record.items() if not k.startswith(other)}
            for step, record in self.scalars.validations.items()
        }
        return {step: metrics for step, metrics in kept.items() if metrics}

    def curve(self, metric: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the steps of the validations with a metric, and its values."""
        found = {k: v[metric] for k, v in self.validations.items() if metric in v}
        return np.array(list(found)), np.array(list(found.values()))

    @property
    def last_metrics(self) -> dict[str, float]:
        """Metrics of the last validation."""
        return next(reversed(self.validations.values()), {})

    @property
    def class_iou(self) -> dict[str, float]:
        """IoU of each class at the last validation, in percent.

        Empty without :class:`ClassIoUMetric`; NaN for classes that do not occur.
        """
        return self._last_with(CLASS_IOU)

    @property
    def teacher_metrics(self) -> dict[str, float]:
        """Metrics of the teacher, under the same names as the student's.

        Of several teachers, those of their common predictions.
        """
        return self._last_with(TEACHER)

    def _last_with(self, prefix: str) -> dict[str, float]:
        """Return the last validation's metrics with a prefix, without the prefix."""
        for record in reversed(self.scalars.validations.values()):
            found = {k: v for k, v in record.items() if k.startswith(prefix)}
            if found:
                return {k.removeprefix(prefix): v for k, v in found.items()}
        return {}

    @property
    def validated(self) -> bool:
        """True if the run was validated at its end."""
        return self.total in self.validations

    @property
    def finished(self) -> bool:
        """True if the run was validated at its end and the checkpoint saved."""
        return self.validated and self.last_checkpoint == self.checkpoint.name

    @cached_property
    def environment(self) -> dict[str, str]:
        """Versions and GPUs of the last attempt."""
        return dict(_ENVIRONMENT.findall(self._log_head))

    @cached_property
    def origin(self) -> dict[str, str]:
        """Version, commit and command of the last attempt, as logged by mmkd."""
        return dict(_ORIGIN.findall(self._log_head))

    @property
    def processes(self) -> int | None:
        """Number of processes of the last attempt; None if it is not logged."""
        found = _PROCESSES.search(self._log_head)
        return int(found[1]) if found else None

    @property
    def started(self) -> str:
        """Date of the last attempt."""
        stamp = self._logs[-1].parts[-3]
        return f'{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}' if stamp[:8].isdigit() else ''

    @cached_property
    def _log_head(self) -> str:
        """Beginning of the last attempt's log, with MMEngine's machine description."""
        (*_, log) = [None, *sorted(self._logs[-1].parents[1].glob('*.log'))]
        if log is None:
            return ''
        with log.open(encoding='utf-8', errors='replace') as file:
            return file.read(100_000)

    def search_logs(self, pattern: re.Pattern) -> Iterator[re.Match]:
        """Yield at most one match per line in the text logs of all attempts."""
        for scalars in self._logs:
            for log in sorted(scalars.parents[1].glob('*.log')):
                with log.open(encoding='utf-8', errors='replace') as lines:
                    yield from filter(None, map(pattern.search, lines))


def _start(log: Path) -> float:
    """Return the start time of an attempt, from the name of its folder."""
    return time.mktime(time.strptime(log.parts[-3], '%Y%m%d_%H%M%S'))


def find_runs(folder: Path) -> list[RunDirectory]:
    """Return the trainings in a folder and its subfolders, sorted by path."""
    paths = sorted({log.parents[2] for log in folder.glob(f'**/{LOGS}')})
    return [run for run in map(RunDirectory, paths) if len(run.scalars.iterations)]


def common_metric(runs: Sequence[RunDirectory], metric: str | None = None) -> str:
    """Return the metric with which to compare runs.

    Args:
        runs: Validated runs.
        metric: Metric chosen by the user. Default: mIoU or accuracy/top1.

    Raises:
        UserError: if not all runs have the metric.
    """
    shared = set.intersection(*(set(run.last_metrics) for run in runs))
    wanted = [metric] if metric else METRICS
    for name in wanted:
        if name in shared:
            return name
    found = ', '.join(sorted(shared)) or 'none'
    raise UserError(
        f'--metric: not all runs have {" or ".join(wanted)}; choose one that they '
        f'share: {found}'
    )
