"""Warning about distillation losses of another magnitude than the task loss."""

from typing import TYPE_CHECKING

from mmengine.hooks import Hook

from mmkd.registry import HOOKS
from mmkd.runs.findings import LossBalance, is_loss

if TYPE_CHECKING:
    from .distill_runner import DistillRunner


@HOOKS.register_module()
class LossBalanceHook(Hook):
    """Warn once if a loss stays below 1/20 or above 20 times the task loss.

    The warning is logged after 50 iterations in a row, not including a warm-up of the
    loss, and not for an automatic weight. Reads the numbers that MMEngine has logged,
    so it adds no synchronization.
    """

    def __init__(self) -> None:
        self.balance = LossBalance()

    def after_train_iter(
        self, runner: 'DistillRunner', *args: object, **kwargs: object
    ) -> None:
        """Compare the losses of the last iteration."""
        losses = {
            name.removeprefix('train/'): buffer.current()
            for name, buffer in runner.message_hub.log_scalars.items()
            if name.startswith('train/') and is_loss(name.removeprefix('train/'))
        }
        distiller = runner.distiller
        complete = [
            loss.name
            for loss in distiller.losses
            if loss.auto is None and loss.factor(distiller.progress) == 1
        ]
        for line in self.balance.update(runner.iter + 1, losses, complete):
            runner.logger.warning(line)
