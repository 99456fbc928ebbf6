"""Broadcast of batch normalization (BN) statistics before a validation."""

from mmengine.dist import broadcast
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmkd.registry import HOOKS


@HOOKS.register_module()
class BroadcastBuffersHook(Hook):
    """Validate with the BN statistics of rank 0, which the checkpoint contains.

    Unlike SyncBN, BN has different statistics in each process; without the broadcast
    the metric would not be that of the checkpoint.
    """

    priority = 'LOWEST'  # after EMAHook has swapped in its weights

    def before_val_epoch(self, runner: Runner) -> None:
        """Broadcast the buffers of rank 0."""
        for buffer in runner.model.buffers():
            broadcast(buffer)
