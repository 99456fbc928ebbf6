"""Training in a separate process."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mmengine.config import Config

import mmkd
from mmkd.distillation.teacher_config import split_teachers
from mmkd.engine.atomic_file import write_atomically
from mmkd.engine.config import read_config
from mmkd.engine.work_dir_lock import is_locked
from mmkd.errors import UserError

from .run_directory import RunDirectory

# Path in a checkout as well as in an installed wheel.
TRAIN = Path(mmkd.__file__).parent / '.mim' / 'tools' / 'train.py'
_ERROR = re.compile(r'error: |[\w.]*(Error|Exception|Interrupt)\b')


@dataclass
class Training:
    """New, interrupted or finished training in a process of its own.

    Args:
        config: Path of the config.
        work_dir: Folder of the run.
        options: Overrides of config keys, as in ``--cfg-options``.
        name: Displayed name. Default: name of the folder.
        script: Program that trains. Default: ``tools/train.py``.
    """

    config: str
    work_dir: Path
    options: Mapping[str, object] = field(default_factory=dict)
    name: str = ''
    script: Path = TRAIN

    def __post_init__(self) -> None:
        self.work_dir = Path(self.work_dir)
        self.name = self.name or self.work_dir.name

    @cached_property
    def settings(self) -> Config:
        """Config with the overrides.

        Raises:
            UserError: if the config cannot be read.
        """
        return read_config(self.config, self.options)

    @property
    def directory(self) -> RunDirectory:
        """Current contents of the run's folder."""
        return RunDirectory(self.work_dir, self.settings)

    @property
    def teachers(self) -> list[Path]:
        """Paths of the teachers' checkpoints."""
        teachers = split_teachers(self.settings.get('teacher') or {}).values()
        return [Path(each['checkpoint']) for each in teachers if each.get('checkpoint')]

    @property
    def _record(self) -> Path:
        return self.work_dir / 'settings.json'

    @property
    def _json(self) -> str:
        return json.dumps(self.settings.to_dict(), default=str)

    def check_settings(self) -> None:
        """Raise a UserError if the folder contains a run with other settings.

        A run without a checkpoint may be restarted with any settings.
        """
        if not self.directory.last_checkpoint:
            return
        if not self._record.exists():
            raise UserError(
                f'{self.work_dir}: contains a run with unknown settings, as it has no '
                'settings.json; delete it, or choose another --work-dir'
            )
        old, new = json.loads(self._record.read_text()), json.loads(self._json)
        keys = sorted({*old, *new})
        if other := [key for key in keys if old.get(key) != new.get(key)]:
            raise UserError(
                f'{self.work_dir}: contains a run with other settings '
                f'({", ".join(other)}); delete it, or choose another --work-dir'
            )

    @property
    def in_use(self) -> bool:
        """True if another process trains in the folder."""
        return is_locked(self.work_dir)

    def start(
        self, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen | None:
        """Start the training, or resume it from its last checkpoint.

        The output is appended to ``output.log``. The training continues if this process
        ends.

        Args:
            environment: Additional environment variables.

        Returns:
            The process; None if another process trains in the folder, or has finished
            the run.
        """
        if self.in_use or self.directory.finished:
            return None
        self.work_dir.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, str(self.script), self.config, '--work-dir']
        command += [str(self.work_dir), '--resume']
        if self.options:
            command += ['--cfg-options', *(f'{k}={v}' for k, v in self.options.items())]
        if not self.directory.last_checkpoint:
            with write_atomically(self._record) as new:
                new.write_text(self._json)
        with (self.work_dir / 'output.log').open('ab') as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,  # Ctrl-C is handled by the parent
            )

    def failure_reason(self) -> str:
        """Return the last error in ``output.log``, or else the last line.

        Lines after an error, such as a warning about leaked semaphores, are ignored.
        """
        log = self.work_dir / 'output.log'
        text = log.read_text(errors='replace') if log.exists() else ''
        lines = [line.rstrip() for line in text.split('\n') if line.strip()]
        errors = [line for line in lines if _ERROR.match(line)]
        return (errors or lines or [''])[-1].strip()
