"""Checkpoints that survive kills and full disks, and the one to resume from."""

import re
import zipfile
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmkd.registry import HOOKS

# Checkpoints to resume from; those of save_best have no optimizer state.
RESUMABLE = ('iter_*.pth', 'epoch_*.pth')


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """MMEngine's CheckpointHook that removes an old checkpoint after the new is saved.

    With :meth:`mmkd.Runner.save_checkpoint`, which writes atomically, at least one
    complete checkpoint exists at any moment.
    """

    def before_train(self, runner: Runner) -> None:
        """Remove partial files that a kill has left."""
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


def latest_checkpoint(work_dir: str | Path) -> Path | None:
    """Return the checkpoint to resume from: the last complete one.

    ``last_checkpoint`` names it, unless the run was killed between writing the two.
    Checkpoints of an earlier, longer run in the same folder do not count. If none is
    complete, return the one that is named, so that resuming fails and does not silently
    start from scratch.
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
    """Compare numbers and modification times: copied files have any time."""
    numbers = [
        [int(number) for number in re.findall(r'\d+', each.stem)]
        for each in (last, path)
    ]
    return numbers[0] < numbers[1] and last.stat().st_mtime < path.stat().st_mtime
