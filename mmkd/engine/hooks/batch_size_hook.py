"""Warning about a batch size for which the learning rate is not meant."""

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmkd.registry import HOOKS
from mmkd.runs.findings import batch_size_finding


@HOOKS.register_module()
class BatchSizeHook(Hook):
    """Warn if the total batch size differs from ``auto_scale_lr.base_batch_size``."""

    def before_train(self, runner: Runner) -> None:
        """Compare the batch size of all processes with the config's base batch size."""
        if line := batch_size_finding(runner.cfg, get_world_size()):
            runner.logger.warning(line)
