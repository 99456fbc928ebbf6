"""Checkpoint on Ctrl-C and on the signals with which job schedulers end a job."""

import os
import signal
import threading
from contextlib import suppress

import torch
from mmengine.dist import all_reduce, barrier, get_world_size
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner

from mmkd.engine.checkpoint_hook import accumulates, save_now
from mmkd.registry import HOOKS

AGREE_EVERY = 10  # iterations
INTERRUPTED = (
    b'\nSaving a checkpoint after this iteration or validation; press Ctrl-C again to '
    b'exit at once.\n'
)


def is_launched() -> bool:
    """Return True if a launcher started this process, with or without others."""
    return torch.distributed.is_torchelastic_launched() or get_world_size() > 1


@HOOKS.register_module()
class SaveOnSignalHook(Hook):
    """Save a checkpoint and exit after the current iteration on a signal.

    Job schedulers send SIGTERM or SIGUSR1 some time before they kill a job, and Ctrl-C
    sends SIGINT; a second Ctrl-C raises KeyboardInterrupt at once, but not in a process
    of a launcher. While gradients are accumulated, the hook waits for the next
    optimizer step. In distributed runs all processes must save in the same iteration;
    they agree on it every tenth iteration, since this synchronizes the device. The exit
    status is 128 plus the signal number, and ``--resume`` continues the run.
    """

    priority = 'LOWEST'
    signals = tuple(
        getattr(signal, name)
        for name in ('SIGINT', 'SIGTERM', 'SIGUSR1')
        if hasattr(signal, name)  # Windows has no SIGUSR1
    )

    def __init__(self) -> None:
        self.received = self.agreed = 0  # signal numbers
        self.interrupted = False
        self.previous: dict = {}  # previous handlers

    def before_train(self, runner: Runner) -> None:
        """Install the signal handlers."""
        # Only the main thread can install handlers.
        if threading.current_thread() is threading.main_thread():
            self.previous = {
                number: signal.signal(number, self._note) for number in self.signals
            }

    def _note(self, number: int, frame: object) -> None:
        self.received = number
        # A launcher sends a SIGINT of its own after that of the terminal.
        if number != signal.SIGINT or is_launched():
            return
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True
        # Print and logging must not be called in a handler, and Ctrl-C may have ended
        # the process that reads standard error.
        with suppress(OSError):
            os.write(2, INTERRUPTED)

    def after_train_iter(self, runner: Runner, *args: object, **kwargs: object) -> None:
        """Save and exit if any process has received a signal."""
        if get_world_size() == 1 or self.every_n_train_iters(runner, AGREE_EVERY):
            received = torch.tensor(self.received)
            all_reduce(received, op='max')
            self.agreed = int(received)
        if not self.agreed or accumulates(runner):
            return
        name = signal.Signals(self.agreed).name
        for hook in runner.hooks:
            if isinstance(hook, CheckpointHook):
                runner.logger.info(f'{name}: saving at iteration {runner.iter + 1}')
                save_now(runner, hook)
                barrier()  # torchrun ends all processes when the first one exits
                break
        runner.logger.info(f'{name}: exiting; rerun with --resume')
        raise SystemExit(128 + self.agreed)

    def restore(self) -> None:
        """Restore the previous signal handlers."""
        while self.previous:
            number, handler = self.previous.popitem()
            if handler is not None:  # None if it was not installed from Python
                signal.signal(number, handler)

    def after_train(self, runner: Runner) -> None:
        """Restore the signal handlers, under any Runner."""
        self.restore()
