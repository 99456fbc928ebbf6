"""Validation that was due when a resumed run was interrupted."""

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from mmkd.registry import HOOKS


@HOOKS.register_module()
class ResumedValidationHook(Hook):
    """Validate a resumed run if a validation is due where it resumes.

    A checkpoint is written before the validation of the same iteration or epoch. If the
    run is interrupted before the next checkpoint, the result of that validation, the
    score of the best checkpoint included, is in no checkpoint. Repeating it gives a
    resumed run all validations of an uninterrupted one. A checkpoint that is saved
    again after a validation, as MMEngine does for a new best one, says so.
    """

    priority = 'LOWEST'  # when all other hooks are ready

    def __init__(self) -> None:
        self.due = False  # if the position is that of a validation
        self.batches = 0  # of an epoch that has begun
        self.in_validation = False

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Read the position in the epoch, and whether it has been validated."""
        meta = checkpoint['meta']
        self.due = runner._resume and not meta.get('validated')
        self.batches, _ = meta.get('batches_done') or (0, 0)

    def before_val_epoch(self, runner: Runner) -> None:
        """Note that a validation has begun."""
        self.in_validation = True

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Save whether the checkpoint is one of a validation's end."""
        checkpoint['meta']['validated'] = self.in_validation

    def after_val_epoch(self, runner: Runner, *args, **kwargs) -> None:
        """Note that a validation has ended."""
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
        else:  # within an epoch: the checkpoint has the validation before it
            return
        loop._decide_current_val_interval()
        at_interval = done >= loop.val_begin and done % loop.val_interval == 0
        if at_interval or done >= last:
            runner.val_loop.run()
