"""Checkpoint on the signals by which schedulers end a job."""

import signal
import threading

import torch
from mmengine.dist import all_reduce, barrier, get_world_size
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner

from mmkd.registry import HOOKS

AGREE_EVERY = 10  # iterations


@HOOKS.register_module()
class SaveOnSignalHook(Hook):
    """Save a checkpoint and exit on SIGTERM or SIGUSR1, after the iteration.

    Schedulers send one of them some time before they kill. The processes agree on the
    iteration, since all must save in the same one; as that synchronizes the device,
    they do so at every tenth. The exit status is 128 plus the signal's number, and
    ``--resume`` continues from there.
    """

    priority = 'LOWEST'
    signals = tuple(
        getattr(signal, name)
        for name in ('SIGTERM', 'SIGUSR1')
        if hasattr(signal, name)  # not on Windows
    )

    def __init__(self) -> None:
        self.received = 0

    def before_train(self, runner: Runner) -> None:
        """Install the signal handlers."""
        self.previous = {}
        if threading.current_thread() is threading.main_thread():  # none has signals
            self.previous = {
                number: signal.signal(number, self._note) for number in self.signals
            }

    def _note(self, number: int, frame: object) -> None:
        self.received = number

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Save and exit if any process has received a signal."""
        if get_world_size() > 1 and not self.every_n_train_iters(runner, AGREE_EVERY):
            return
        received = torch.tensor(self.received)
        all_reduce(received, op='max')
        number = int(received)
        if not number:
            return
        name = signal.Signals(number).name
        for hook in runner.hooks:
            if isinstance(hook, CheckpointHook):
                runner.logger.info(f'{name}: saving at iteration {runner.iter + 1}')
                save_now(runner, hook)
                barrier()  # whoever leaves first has torchrun end the others
                break
        runner.logger.info(f'{name}: exiting; rerun with --resume')
        raise SystemExit(128 + number)

    def after_train(self, runner: Runner) -> None:
        """Restore the signal handlers."""
        for number, handler in self.previous.items():
            signal.signal(number, handler)


def save_now(runner: Runner, hook: CheckpointHook) -> None:
    """Save a checkpoint within the interval of the run's CheckpointHook."""
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
