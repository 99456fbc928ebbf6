"""CPU time of the iterations of a training."""

import time
from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class CpuTimeHook(Hook):
    """Log ``cpu_time``, the CPU time of an iteration in seconds, without validation.

    It is the user and system time of the process, which depends less on other processes
    than the elapsed time. It includes the data loader only if that has no workers.
    """

    priority = 'NORMAL'  # before LoggerHook

    def before_train(self, runner: Runner) -> None:
        """Start the first iteration."""
        self.start = time.process_time()

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """End an iteration, and start the next one."""
        now = time.process_time()
        runner.message_hub.update_scalar('train/cpu_time', now - self.start)
        self.start = now

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Start the next iteration after a validation."""
        self.start = time.process_time()
