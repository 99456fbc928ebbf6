"""Logging of peak memory without a GPU."""

import resource
import sys

from mmengine.device import get_device
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmkd.registry import HOOKS

UNIT = 2**20 if sys.platform == 'darwin' else 2**10  # units of ru_maxrss per MiB


@HOOKS.register_module()
class MemoryHook(Hook):
    """Log the peak memory of the process in MiB as ``memory``.

    MMEngine logs the memory of a GPU under this name, and nothing without a GPU. Data
    loader workers are not included.
    """

    def after_train_iter(self, runner: Runner, *args: object, **kwargs: object) -> None:
        """Add the peak memory to the log."""
        if get_device() == 'cpu':
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / UNIT
            runner.message_hub.update_scalar('train/memory', peak)
