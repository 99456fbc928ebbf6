"""Warning about distillation losses that stay far from the task's loss."""

from typing import TYPE_CHECKING

from mmengine.hooks import Hook

from mmkd.registry import HOOKS
from mmkd.runs.findings import LossBalance

if TYPE_CHECKING:
    from .distill_runner import DistillRunner


@HOOKS.register_module()
class LossBalanceHook(Hook):
    """Warn once of a loss below 1/20 or above 20 times the task loss.

    That is, for 50 iterations with the full weight of its schedule. Reads the numbers
    that MMEngine has logged, without a synchronization of its own.
    """

    def __init__(self) -> None:
        self.balance = LossBalance()

    def after_train_iter(self, runner: 'DistillRunner', *args, **kwargs) -> None:
        """Compare the last iteration's losses."""
        losses = {
            name.removeprefix('train/'): buffer.current()
            for name, buffer in runner.message_hub.log_scalars.items()
            if name.startswith('train/') and 'loss' in name
        }
        distiller = runner.distiller
        complete = [
            loss.name
            for loss in distiller.losses
            if loss.factor(distiller.progress) == 1
        ]
        for line in self.balance.update(runner.iter + 1, losses, complete):
            runner.logger.warning(line)
