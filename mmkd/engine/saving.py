"""Checkpoints that a kill or a full disk cannot spoil."""

import os
import re
import zipfile
from contextlib import suppress
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from mmkd.errors import UserError

# Of checkpoints that a run can go on from; the best ones have no optimiser's state.
RESUMABLE = ('iter_*.pth', 'epoch_*.pth')


class AtomicBackend(LocalBackend):
    """Writes a file whole or not at all: beside it first, then in its place."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Writes bytes.

        Raises:
            UserError: if they cannot be written; what was there before stays.
        """
        path = Path(filepath)
        new = path.with_name(f'.{path.name}.new')
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with new.open('wb') as file:
                file.write(obj)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except OSError as error:
            with suppress(OSError):
                new.unlink()
            raise UserError(
                f"work_dir: '{path}' cannot be written: {error.strerror}; earlier "
                'checkpoints are as they were: mend that, and go on with --resume'
            ) from error


class SafeCheckpointHook(CheckpointHook):
    """MMEngine's, but an outdated checkpoint goes after the new one is there."""

    def before_train(self, runner: Runner) -> None:
        """Also clears away what a kill has left half written."""
        super().before_train(runner)
        if is_main_process() and '://' not in self.out_dir:
            for path in Path(self.out_dir).glob('.*.pth.new'):
                path.unlink()

    def _save_checkpoint_with_step(
        self, runner: Runner, step: int | str, meta: dict
    ) -> None:
        outdated, kept = None, getattr(self, 'keep_ckpt_ids', None)
        if self.max_keep_ckpts > 0 and step not in list(kept)[-1:]:
            if len(kept) == self.max_keep_ckpts:
                outdated = kept.popleft()
            kept.append(step)  # seeing it there, MMEngine removes nothing
            runner.message_hub.update_info('keep_ckpt_ids', list(kept))
        super()._save_checkpoint_with_step(runner, step, meta)
        if outdated is not None:
            name = self.filename_tmpl.format(outdated)
            self._remove(self.file_backend.join_path(self.out_dir, name))

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        if not self.save_best:
            return
        several = len(self.key_indicators) > 1
        paths = self.best_ckpt_path_dict if several else vars(self)
        former = {
            key: paths[key] for key in (list(paths) if several else ['best_ckpt_path'])
        }
        paths.update(dict.fromkeys(former))  # seeing none, MMEngine removes nothing
        super()._save_best_checkpoint(runner, metrics)
        for key, path in former.items():
            if paths[key] is None:
                paths[key] = path
            elif path and path != paths[key]:
                self._remove(path)

    def _remove(self, path: str) -> None:
        if is_main_process() and self.file_backend.isfile(path):
            self.file_backend.remove(path)


def save_safely() -> None:
    """Puts both in the place of MMEngine's, under their names in the registries."""
    register_backend('local', AtomicBackend, force=True, prefixes='')
    HOOKS.register_module(name='CheckpointHook', module=SafeCheckpointHook, force=True)


def latest_checkpoint(work_dir: str | Path) -> Path | None:
    """The checkpoint that a run goes on from: the last one that is complete.

    ``last_checkpoint`` names it, unless the run was killed between the two. Leftovers
    of a longer run before it in the same folder do not count. If none is complete, it
    is the one that is named: to begin anew is not what was asked for.
    """
    note = Path(work_dir, 'last_checkpoint')
    last = Path(note.read_text().strip() if note.is_file() else '')
    if not last.is_file():  # moved with the folder, perhaps
        last = Path(work_dir, last.name or note.name)
    found = [path for kind in RESUMABLE for path in last.parent.glob(kind)]
    found = [path for path in found if zipfile.is_zipfile(path)]
    if last.is_file() and zipfile.is_zipfile(last):
        found = [path for path in found if _is_later(path, last)] or [last]
    named = last if last.is_file() and last.name != note.name else None
    return max(found, key=lambda path: path.stat().st_mtime, default=named)


def _is_later(path: Path, last: Path) -> bool:
    """By its number and by the clock: copied files have any time."""
    numbers = [
        [int(number) for number in re.findall(r'\d+', each.stem)]
        for each in (last, path)
    ]
    return numbers[0] < numbers[1] and last.stat().st_mtime < path.stat().st_mtime
