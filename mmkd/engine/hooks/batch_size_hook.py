"""Warning about a batch size that the learning rate is not for."""

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmkd.registry import HOOKS
from mmkd.runs.findings import batch_size_finding


@HOOKS.register_module()
class BatchSizeHook(Hook):
    """Warn if a step does not have the images of ``auto_scale_lr.base_batch_size``."""

    def before_train(self, runner: Runner) -> None:
        """Compare both, for all processes."""
        if line := batch_size_finding(runner.cfg, get_world_size()):
            runner.logger.warning(line)
