"""Checkpoints that survive kills and full disks, and the one to resume from."""

import re
import zipfile
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmkd.engine.atomic_file import write_atomically
from mmkd.registry import HOOKS

from .optim_wrappers import each_wrapper

# Checkpoints to resume from; those of save_best have no optimizer state.
RESUMABLE = ('iter_*.pth', 'epoch_*.pth')
_LONGEST_PATH, _LONGEST_NAME = 4096, 256


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """MMEngine's CheckpointHook for runs that are killed at any moment.

    An old checkpoint is removed after the new one is saved: with
    :meth:`mmkd.engine.runner.Runner.save_checkpoint`, which writes atomically, at least
    one complete checkpoint exists at any moment. While gradients are accumulated, a
    checkpoint is postponed to the optimizer's next step, since a checkpoint holds no
    gradients.
    ``last_checkpoint`` holds a file name: a copy of the folder is a run of its own.
    """

    postponed = False

    def _save_checkpoint(self, runner: Runner) -> None:
        self.postponed = accumulates(runner)
        if self.postponed:
            runner.logger.info(
                'The checkpoint is postponed to the next step of the optimizer '
                '(optim_wrapper.accumulative_counts)'
            )
        else:
            super()._save_checkpoint(runner)

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Save a checkpoint that is due or was postponed."""
        super().after_train_iter(runner, *args, **kwargs)
        if self.postponed and not accumulates(runner):
            self.postponed = False
            save_now(runner, self)

    def after_train(self, runner: Runner) -> None:
        """Save a postponed checkpoint if the optimizer takes no step any more."""
        if self.postponed:  # the run was stopped early, or an epoch begun again
            step = runner.epoch if self.by_epoch else runner.iter
            meta = {'epoch': runner.epoch, 'iter': runner.iter}
            self._save_checkpoint_with_step(runner, step, meta=meta)
        super().after_train(runner)

    def before_train(self, runner: Runner) -> None:
        """Remove partial files that a kill has left.

        The best checkpoints are looked for in the run's own folder, which may be a copy
        of another run's.
        """
        super().before_train(runner)
        if getattr(self, 'best_ckpt_path', None):
            self.best_ckpt_path = self._own(self.best_ckpt_path)
        for key, path in getattr(self, 'best_ckpt_path_dict', {}).items():
            self.best_ckpt_path_dict[key] = path and self._own(path)
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
            kept.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(kept))
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if is_main_process():
            with write_atomically(Path(runner.work_dir, 'last_checkpoint')) as new:
                new.write_text(name)
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
        last = self.last_ckpt
        if accumulates(runner):
            self.last_ckpt = None  # seeing none, MMEngine does not save it again
        super()._save_best_checkpoint(runner, metrics)
        self.last_ckpt = self.last_ckpt or last
        for key, path in former.items():
            if paths[key] is None:
                paths[key] = path
            elif path and path != paths[key]:
                self._remove(path)

    def _own(self, path: str) -> str:
        """Return the path of a checkpoint's name in the run's own folder."""
        return self.file_backend.join_path(self.out_dir, Path(path).name)

    def _remove(self, path: str) -> None:
        if is_main_process() and self.file_backend.isfile(path):
            self.file_backend.remove(path)


def accumulates(runner: Runner) -> bool:
    """Return True if there are gradients that the optimizer has not used yet."""
    wrappers = each_wrapper(runner.optim_wrapper)
    return not all(wrapper.should_update() for wrapper in wrappers)


def save_now(runner: Runner, hook: CheckpointHook) -> None:
    """Save a checkpoint after an iteration, within the interval of its hook."""
    step = runner.iter + 1
    if hook.by_epoch:  # not to overwrite the checkpoint of the epoch before
        step = f'{runner.epoch}_iter_{step}'
        try:
            hook.filename_tmpl.format(step)
        except ValueError:  # it takes a number alone
            step = runner.epoch
    hook._save_checkpoint_with_step(
        runner, step, meta={'epoch': runner.epoch, 'iter': runner.iter + 1}
    )


def noted_checkpoint(work_dir: str | Path) -> str:
    """Return the file name in ``last_checkpoint``; empty if there is none.

    The folder before it, as MMEngine writes one, does not count: in a copy it is the
    original's. Nor does a text that is no file name.
    """
    note = Path(work_dir, 'last_checkpoint')
    if not note.is_file():
        return ''
    with note.open('rb') as file:
        text = file.read(_LONGEST_PATH)
    try:
        name = Path(text.decode().strip()).name
    except UnicodeDecodeError:
        return ''
    valid = len(text) < _LONGEST_PATH and len(name) < _LONGEST_NAME
    return name if valid and name.isprintable() and name != '..' else ''


def latest_checkpoint(
    work_dir: str | Path, out_dir: str | Path | None = None
) -> Path | str | None:
    """Return the checkpoint to resume from: the last complete one.

    ``last_checkpoint`` names it, unless the run was killed between writing the two.
    Checkpoints of an earlier, longer run in the same folder do not count. If none is
    complete, return the one that is named, so that resuming fails and does not silently
    start from scratch.

    Args:
        work_dir: Folder of the run.
        out_dir: The CheckpointHook's, which has the checkpoints in a folder of the
            work_dir's name; of a remote one, the checkpoint that is named. Default:
            they are in the work_dir.
    """
    folder = Path(work_dir)
    if '://' in str(out_dir):
        name = noted_checkpoint(work_dir)
        return f'{out_dir}/{folder.absolute().name}/{name}' if name else None
    if out_dir is not None:
        folder = Path(out_dir, folder.absolute().name)
    last = folder / noted_checkpoint(work_dir)
    found = [path for kind in RESUMABLE for path in folder.glob(kind)]
    found = [path for path in found if zipfile.is_zipfile(path)]
    if zipfile.is_zipfile(last):
        found = [path for path in found if _is_later(path, last)] or [last]
    named = last if last.is_file() else None
    return max(found, key=lambda path: path.stat().st_mtime, default=named)


def _is_later(path: Path, last: Path) -> bool:
    """Compare numbers and modification times: copied files have any time."""
    numbers = [
        [int(number) for number in re.findall(r'\d+', each.stem)]
        for each in (last, path)
    ]
    return numbers[0] < numbers[1] and last.stat().st_mtime < path.stat().st_mtime
