"""One training in its folder on disk: how to start it, and how far it is."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import mmkd
from mmkd.errors import UserError

from .run_config import read_config
from .scalars import LOGS, is_training, metrics, records

# In a checkout and in an installed wheel alike.
TRAIN = Path(mmkd.__file__).parent / '.mim' / 'tools' / 'train.py'
_ERROR = re.compile(r'error: |[\w.]*(Error|Exception|Interrupt)\b')
METRICS = ('mIoU', 'accuracy/top1')  # what a run is judged by if nobody says


@dataclass
class State:
    """How far a run is.

    Args:
        done: Iterations, or epochs where the config counts those.
        total: Iterations or epochs of the whole run.
        seconds: Time spent so far, in all attempts.
        metrics: The last validation's, by name.
        finished: Whether it is trained, saved and validated to its end.
    """

    done: int
    total: int
    seconds: float
    metrics: dict[str, float]
    finished: bool

    @property
    def pace(self) -> float | None:
        """Seconds for an iteration or epoch, if one is done."""
        return self.seconds / self.done if self.done else None

    def result(self, metric: str | None = None) -> tuple[str, float] | None:
        """A metric of the last validation: its name and its value, if it is there.

        Args:
            metric: Which. Default: mIoU or accuracy/top1, whichever there is.
        """
        names = [metric] if metric else METRICS
        found = ((name, self.metrics[name]) for name in names if name in self.metrics)
        return next(found, None)


@dataclass
class Run:
    """A training by ``tools/train.py``, which may have been begun, killed or finished.

    All that is known of it is read from its folder, so that any process can look at it
    at any time.

    Args:
        config: Path of the config.
        work_dir: Its folder.
        options: Overrides of config keys, as for ``--cfg-options``.
        name: What to call it on a screen. Default: the folder's name.
    """

    config: str
    work_dir: Path
    options: Mapping[str, object] = field(default_factory=dict)
    name: str = ''

    def __post_init__(self) -> None:
        self.work_dir = Path(self.work_dir)
        self.name = self.name or self.work_dir.name

    @cached_property
    def settings(self) -> dict:
        """The config with the overrides, in JSON's types.

        Raises:
            UserError: if the config cannot be read.
        """
        config = read_config(self.config, self.options)
        return json.loads(json.dumps(config.to_dict(), default=str))

    @property
    def total(self) -> int:
        """Iterations or epochs of the whole run.

        Raises:
            UserError: if the config does not say.
        """
        loop = self.settings.get('train_cfg') or {}
        total = loop.get('max_iters') or loop.get('max_epochs')
        if not total:
            raise UserError(
                f"train_cfg: '{self.config}' has no max_iters or max_epochs"
            )
        return total

    @property
    def checkpoint(self) -> Path:
        """The checkpoint that the run ends with."""
        unit = 'iter' if 'max_iters' in self.settings['train_cfg'] else 'epoch'
        return self.work_dir / f'{unit}_{self.total}.pth'

    @property
    def _saved(self) -> str:
        """The name of the last checkpoint so far; empty if there is none."""
        pointer = self.work_dir / 'last_checkpoint'
        return Path(pointer.read_text().strip()).name if pointer.exists() else ''

    @property
    def _record(self) -> Path:
        return self.work_dir / 'settings.json'

    def state(self) -> State:
        """Reads how far the run is."""
        done, seconds, last = 0, 0.0, {}
        logs = sorted(self.work_dir.glob(LOGS))
        for log in logs:
            started = time.mktime(time.strptime(log.parts[-3], '%Y%m%d_%H%M%S'))
            seconds += max(0.0, log.stat().st_mtime - started)
            for record in records(log):
                if is_training(record):
                    done = record.get('epoch', record['iter'] + 1) - 1
                else:
                    done, last = record['step'], record
        ended = last.get('step') == self.total
        finished = ended and self._saved == self.checkpoint.name
        return State(done, self.total, seconds, metrics(last), finished)

    def result(self, metric: str | None = None) -> tuple[str, float]:
        """A metric of the last validation, as :meth:`State.result` gives it.

        Raises:
            UserError: if the run has no such metric; says which there are.
        """
        state = self.state()
        result = state.result(metric)
        if result is None:
            found = ', '.join(state.metrics) or 'none, as nothing has been validated'
            wanted = metric or ' or '.join(METRICS)
            raise UserError(f'{self.work_dir}: no metric {wanted}; there is {found}')
        return result

    def check_settings(self) -> None:
        """Raises a UserError if the folder holds a run with other or unknown settings.

        One without a checkpoint yet may be begun anew with any.
        """
        if self._saved:
            if not self._record.exists():
                raise UserError(
                    f'{self.work_dir}: holds a run of unknown settings, as there is no '
                    'settings.json; delete it, or choose another --work-dir'
                )
            old = json.loads(self._record.read_text())
            keys = sorted({*old, *self.settings})
            if other := [k for k in keys if old.get(k) != self.settings.get(k)]:
                raise UserError(
                    f'{self.work_dir}: holds a run with other settings '
                    f'({", ".join(other)}); delete it, or choose another --work-dir'
                )

    @property
    def teacher(self) -> Path | None:
        """The checkpoint that it distils from, if it does."""
        checkpoint = (self.settings['model'].get('teacher') or {}).get('checkpoint')
        return Path(checkpoint) if checkpoint else None

    def start(
        self, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen | None:
        """Starts the training, or goes on from its last checkpoint.

        What it prints is added to ``output.log``. The training holds a lock on its
        folder for as long as it lives, whatever becomes of the process that has
        started it.

        Args:
            environment: Variables to set for it.

        Returns:
            The process; None if another process trains in the folder already, or has
            finished the run meanwhile.
        """
        import fcntl

        self.work_dir.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, str(TRAIN), self.config, '--work-dir']
        command += [str(self.work_dir), '--resume']
        if self.options:
            command += ['--cfg-options', *(f'{k}={v}' for k, v in self.options.items())]
        with (
            (self.work_dir / 'lock').open('a') as lock,
            (self.work_dir / 'output.log').open('ab') as log,
        ):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
            if self.state().finished:
                return None
            if not self._saved:
                new = self._record.with_suffix('.new')
                new.write_text(json.dumps(self.settings))
                new.replace(self._record)
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                pass_fds=[lock.fileno()],
                start_new_session=True,  # Ctrl-C is for the one who watches
            )

    def last_words(self) -> str:
        """Of a failed training, the reason: its last error, or the last line printed.

        What follows an error, such as a warning of leaked semaphores, is no reason.
        """
        log = self.work_dir / 'output.log'
        text = log.read_text(errors='replace') if log.exists() else ''
        lines = [line.rstrip() for line in text.split('\n') if line.strip()]
        errors = [line for line in lines if _ERROR.match(line)]
        return (errors or lines or [''])[-1].strip()
