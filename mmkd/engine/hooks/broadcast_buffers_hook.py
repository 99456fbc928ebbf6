"""Equal BN statistics on all processes in a validation."""

from mmengine.dist import broadcast
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmkd.registry import HOOKS


@HOOKS.register_module()
class BroadcastBuffersHook(Hook):
    """Validate with the BN statistics of rank 0, which are those it saves.

    BN, unlike SyncBN, has statistics of its own on each process; the metric would not
    be that of the checkpoint.
    """

    priority = 'LOWEST'  # after EMAHook has swapped in its weights

    def before_val_epoch(self, runner: Runner) -> None:
        """Send rank 0's buffers to the others."""
        for buffer in runner.model.buffers():
            broadcast(buffer)
