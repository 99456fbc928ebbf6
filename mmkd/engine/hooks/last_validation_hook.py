"""Last validation of a run that was killed in it."""

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmkd.registry import HOOKS


@HOOKS.register_module()
class LastValidationHook(Hook):
    """Validate a resumed run that has nothing left to train.

    The last checkpoint is written before the last validation. A run that was killed
    between the two would resume, train nothing and end without a result.
    """

    priority = 'LOWEST'  # when all other hooks are ready

    def before_train(self, runner: Runner) -> None:
        """Validate if the last iteration or epoch is done already."""
        # An epoch that is begun again adds to the iterations, beyond max_iters.
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            over = runner.epoch >= runner.max_epochs
        else:
            over = runner.iter >= runner.max_iters
        if over and runner.val_loop is not None:
            runner.val_loop.run()
