"""Checkpoints that survive kills and full disks, and the choice of one to resume."""

import re
import zipfile
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmkd.engine.atomic_file import write_atomically
from mmkd.registry import HOOKS

from .optim_wrappers import each_wrapper

# Checkpoints that can be resumed; those of save_best have no optimizer state.
RESUMABLE = ('iter_*.pth', 'epoch_*.pth')
_LONGEST_PATH, _LONGEST_NAME = 4096, 256


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """CheckpointHook for runs that may be killed at any time.

    An old checkpoint is removed only after the new one is saved. Together with
    :meth:`mmkd.engine.runner.Runner.save_checkpoint`, which writes atomically, at least
    one complete checkpoint exists at any time. While gradients are accumulated, a
    checkpoint is postponed to the next optimizer step, since checkpoints contain no
    gradients. ``last_checkpoint`` contains a file name without a folder, so that a
    copied work_dir is an independent run.
    """

    best_ckpt_path: str
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

    def after_train_iter(self, runner: Runner, *args: object, **kwargs: object) -> None:
        """Save a checkpoint that is due or postponed."""
        super().after_train_iter(runner, *args, **kwargs)
        if self.postponed and not accumulates(runner):
            self.postponed = False
            save_now(runner, self)

    def after_train(self, runner: Runner) -> None:
        """Save a postponed checkpoint if the optimizer takes no further step."""
        if self.postponed:  # the run was stopped early, or an epoch was restarted
            step = runner.epoch if self.by_epoch else runner.iter
            meta = {'epoch': runner.epoch, 'iter': runner.iter}
            self._save_checkpoint_with_step(runner, step, meta=meta)
        super().after_train(runner)

    def before_train(self, runner: Runner) -> None:
        """Remove partial files left by a killed run.

        Paths of the best checkpoints are changed to the folder of this run, which may
        be a copy of another run's.
        """
        super().before_train(runner)
        if getattr(self, 'best_ckpt_path', None):
            self.best_ckpt_path = self._own(self.best_ckpt_path)
        for key, path in getattr(self, 'best_ckpt_path_dict', {}).items():
            self.best_ckpt_path_dict[key] = path and self._own(path)
        last = runner.message_hub.get_info('last_ckpt')
        self.last_ckpt = last and self._own(last)  # which a new best one saves again
        if is_main_process() and '://' not in self.out_dir:
            for path in Path(self.out_dir).glob('.*.pth.new'):
                path.unlink()

    def _save_checkpoint_with_step(
        self, runner: Runner, step: int | str, meta: dict
    ) -> None:
        outdated = None
        if self.max_keep_ckpts > 0 and step not in list(self.keep_ckpt_ids)[-1:]:
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                outdated = self.keep_ckpt_ids.popleft()
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
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
        paths: dict = self.best_ckpt_path_dict if several else self.__dict__
        former = {
            key: paths[key] for key in (list(paths) if several else ['best_ckpt_path'])
        }
        paths.update(dict.fromkeys(former))  # keeps MMEngine from removing files
        last = self.last_ckpt
        if accumulates(runner):
            self.last_ckpt = None  # keeps MMEngine from saving it again
        super()._save_best_checkpoint(runner, metrics)
        self.last_ckpt = self.last_ckpt or last
        for key, path in former.items():
            if paths[key] is None:
                paths[key] = path
            elif path and path != paths[key]:
                self._remove(path)

    def _own(self, path: str) -> str:
        """Return the path of a checkpoint of that name in this run's folder."""
        return self.file_backend.join_path(self.out_dir, Path(path).name)

    def _remove(self, path: str) -> None:
        if is_main_process() and self.file_backend.isfile(path):
            self.file_backend.remove(path)


def accumulates(runner: Runner) -> bool:
    """Return True if gradients are accumulated for a later optimizer step."""
    wrappers = each_wrapper(runner.optim_wrapper)
    return not all(wrapper.should_update() for wrapper in wrappers)


def save_now(runner: Runner, hook: CheckpointHook) -> None:
    """Save a checkpoint after an iteration, independent of the hook's interval."""
    step = runner.iter + 1
    if hook.by_epoch:  # do not overwrite the checkpoint of the previous epoch
        step = f'{runner.epoch}_iter_{step}'
        try:
            hook.filename_tmpl.format(step)
        except ValueError:  # the template accepts only a number
            step = runner.epoch
    hook._save_checkpoint_with_step(
        runner, step, meta={'epoch': runner.epoch, 'iter': runner.iter + 1}
    )


def noted_checkpoint(work_dir: str | Path) -> str:
    """Return the file name in ``last_checkpoint``; '' without a valid one.

    The folder, which MMEngine also writes, is ignored: in a copied work_dir it is that
    of the original.
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
    """Return the last complete checkpoint of a run, from which to resume.

    It is the one named in ``last_checkpoint``, unless the run was killed after saving a
    checkpoint and before updating that file. Checkpoints of an earlier, longer run in
    the same folder are ignored. If none is complete, return the one named in
    ``last_checkpoint``: resuming then fails instead of silently starting from scratch.

    Args:
        work_dir: Folder of the run.
        out_dir: ``out_dir`` of the CheckpointHook, whose subfolder with the name of the
            work_dir contains the checkpoints. If it is remote, return the checkpoint
            named in ``last_checkpoint``. Default: the work_dir contains them.
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
    """Compare both numbers and modification times, as copying may change the times."""
    numbers = [
        [int(number) for number in re.findall(r'\d+', each.stem)]
        for each in (last, path)
    ]
    return numbers[0] < numbers[1] and last.stat().st_mtime < path.stat().st_mtime
