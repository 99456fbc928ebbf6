"""What a training holds in memory where there is no GPU."""

import resource
import sys

from mmengine.device import get_device
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmkd.registry import HOOKS

UNIT = 2**20 if sys.platform == 'darwin' else 2**10  # of ru_maxrss, to MiB


@HOOKS.register_module()
class MemoryHook(Hook):
    """Logs the most that the process has held so far, in MiB, as ``memory``.

    Under that name MMEngine logs a GPU's memory; without one it logs none. Without
    the data workers, whose number is not the recipe's.
    """

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Hands it to the log."""
        if get_device() == 'cpu':
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / UNIT
            runner.message_hub.update_scalar('train/memory', peak)
