"""Repetition of a validation that an interrupted run could not save."""

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from mmkd.registry import HOOKS


@HOOKS.register_module()
class ResumedValidationHook(Hook):
    """Validate a resumed run if a validation is due at the resumed iteration.

    A checkpoint is saved before the validation of the same iteration or epoch. If the
    run is interrupted before the next checkpoint, no checkpoint contains the result of
    that validation, including the best score. By repeating it, a resumed run has all
    validations of an uninterrupted run. A checkpoint that is saved again after a
    validation, as MMEngine does for a new best score, records this.
    """

    priority = 'LOWEST'  # when all other hooks are ready

    def __init__(self) -> None:
        self.due = False  # if the checkpoint was not validated
        self.batches = 0  # completed batches of the current epoch
        self.in_validation = False

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Read the progress in the epoch, and if it was validated."""
        meta = checkpoint['meta']
        self.due = runner._resume and not meta.get('validated')
        self.batches, _ = meta.get('batches_done') or (0, 0)

    def before_val_epoch(self, runner: Runner) -> None:
        """Set the flag for a validation in progress."""
        self.in_validation = True

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Record if the checkpoint is saved at the end of a validation."""
        checkpoint['meta']['validated'] = self.in_validation

    def after_val_epoch(self, runner: Runner, *args: object, **kwargs: object) -> None:
        """Reset the flag for a validation in progress."""
        self.in_validation = False

    def before_train(self, runner: Runner) -> None:
        """Validate if a validation is due after the last iteration or epoch."""
        loop = runner.train_loop
        if not self.due or runner.val_loop is None:
            return
        if isinstance(loop, IterBasedTrainLoop):
            done, last = loop.iter, loop.max_iters
        elif isinstance(loop, EpochBasedTrainLoop) and not self.batches:
            done, last = loop.epoch, loop.max_epochs
        else:  # within an epoch: the previous validation is in the checkpoint
            return
        loop._decide_current_val_interval()
        at_interval = done >= loop.val_begin and done % loop.val_interval == 0
        if at_interval or done >= last:
            runner.val_loop.run()
