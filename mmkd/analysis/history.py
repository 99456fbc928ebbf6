"""What a training has left in its folder: curves, classes, settings."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mmengine.config import Config

from mmkd.engine.config import read_config
from mmkd.engine.scalars import LOGS, is_training, records, validations
from mmkd.engine.student_config import is_distillation

TEACHER = 'teacher/'  # before the names of its metrics
_SEEDED = re.compile(r'seed_\d+')
_CLASS = re.compile(r'^\|\s*(.+?)\s*\|\s*([\d.]+|nan)\s*\|', re.MULTILINE)
_ENVIRONMENT = re.compile(r'^ {4}(Python|GPU [\d,]+|PyTorch|MMEngine): (.+)$', re.M)


@dataclass(frozen=True)
class History:
    """A training, read from its logs: nothing is built or run.

    Args:
        folder: The run's work_dir.
    """

    folder: Path

    @cached_property
    def _logs(self) -> list[Path]:
        """Of the attempts that have trained, in order; a test has left none."""
        logs = sorted(self.folder.glob(LOGS))
        return [log for log in logs if any(map(is_training, records(log)))]

    @cached_property
    def _texts(self) -> list[str]:
        paths = (path for log in self._logs for path in log.parents[1].glob('*.log'))
        return [path.read_text(errors='replace') for path in sorted(paths)]

    @cached_property
    def config(self) -> Config:
        """As the last attempt ran it."""
        return read_config(str(self._logs[-1].with_name('config.py')))

    @property
    def method(self) -> str:
        """What the run is called but for its seed, by its folder."""
        folder = self.folder.resolve()
        return folder.parent.name if _SEEDED.fullmatch(folder.name) else folder.name

    @property
    def seed(self) -> int:
        """The seed it was asked to run with; 0 if none."""
        return (self.config.get('randomness') or {}).get('seed') or 0

    @property
    def distilled(self) -> bool:
        """Whether it is a distillation."""
        return is_distillation(self.config)

    @property
    def total(self) -> int:
        """How many iterations or epochs the whole run has."""
        loop = self.config.get('train_cfg') or {}
        return loop.get('max_iters') or loop.get('max_epochs') or 0

    @property
    def unit(self) -> str:
        """What the run counts."""
        return 'iteration' if 'max_iters' in self.config.train_cfg else 'epoch'

    @property
    def checkpoint(self) -> Path:
        """The checkpoint of its end."""
        kind = 'iter' if self.unit == 'iteration' else 'epoch'
        return self.folder / f'{kind}_{self.total}.pth'

    @cached_property
    def training(self) -> dict[int, dict[str, float]]:
        """The scalars of the training, by iteration; the last attempt counts."""
        found = {}
        for log in self._logs:
            found |= {r['iter']: r for r in filter(is_training, records(log))}
        return dict(sorted(found.items()))

    @cached_property
    def validations(self) -> dict[int, dict[str, float]]:
        """The student's metrics, by iteration or epoch."""
        own = {
            step: {k: v for k, v in values.items() if not k.startswith(TEACHER)}
            for step, values in validations(self.folder).items()
        }
        return {step: values for step, values in own.items() if values}

    @cached_property
    def teacher(self) -> dict[str, float]:
        """The teacher's metrics, under the names that the student's have."""
        found = {}
        for values in validations(self.folder).values():
            found |= {k: v for k, v in values.items() if k.startswith(TEACHER)}
        return {k.removeprefix(TEACHER): v for k, v in found.items()}

    @property
    def finished(self) -> bool:
        """Whether its last validation is that of its end."""
        return self.total in self.validations

    @property
    def last(self) -> dict[str, float]:
        """The metrics of the last validation."""
        return next(reversed(self.validations.values()), {})

    def best(self, metric: str) -> float:
        """The highest value of a metric among the validations."""
        return max(values[metric] for values in self.validations.values())

    @cached_property
    def classes(self) -> dict[str, float]:
        """IoU of each class at the last validation, in percent, as mmseg prints it."""
        tables = [t for text in self._texts for t in text.split('per class results:')]
        if len(tables) < 2:
            return {}
        table = tables[-1].split('Iter(val)')[0]
        return {name: float(value) for name, value in _CLASS.findall(table)}

    @cached_property
    def environment(self) -> dict[str, str]:
        """Versions and GPUs of the last attempt."""
        return dict(_ENVIRONMENT.findall(self._texts[-1])) if self._texts else {}

    def median(self, scalar: str) -> float | None:
        """The median of a scalar of the training, if it is logged."""
        values = [r[scalar] for r in self.training.values() if scalar in r]
        return sorted(values)[len(values) // 2] if values else None


def find_histories(folder: Path) -> list[History]:
    """The trainings in a folder or anywhere below it, in order of their paths."""
    found = {log.parents[2] for log in folder.glob(f'**/{LOGS}')}
    histories = map(History, sorted(found))
    return [history for history in histories if history.training]
