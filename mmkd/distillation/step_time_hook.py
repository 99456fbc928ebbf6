"""Hook that logs what student, teacher and losses take of each iteration."""

from typing import TYPE_CHECKING

from mmengine.hooks import Hook

from mmkd.registry import HOOKS

if TYPE_CHECKING:
    from .distill_runner import DistillRunner


@HOOKS.register_module()
class StepTimeHook(Hook):
    """Log ``time_student``, ``time_teacher`` and ``time_losses`` in seconds.

    Together they are the training step, between ``data_time`` and the end of MMEngine's
    ``time``:

    * ``time_teacher``: the forward passes of all teachers, or, on a stream of their
      own, what the student waits for them;
    * ``time_losses``: forward and backward passes of the distillation losses down to
      the student's taps, with adapters and automatic weights;
    * ``time_student``: the rest, i.e. what a training without a teacher does, too
      (preprocessing, forward pass, task losses, backward pass, optimizer step), and the
      student on unlabeled images.

    On a GPU, the times of an iteration are logged once they are known, usually with the
    next one: nothing waits for them. They are not losses, although MMEngine's rule of
    names would include ``time_losses``: they go to the log, not through the losses.
    """

    priority = 'HIGH'  # inside of the hooks that load, check and save

    def before_train_iter(
        self, runner: 'DistillRunner', *args: object, **kwargs: object
    ) -> None:
        """Start the step."""
        distiller = runner.distiller
        distiller.stopwatch.start(next(distiller.student.parameters()).device)

    def after_train_iter(
        self, runner: 'DistillRunner', *args: object, **kwargs: object
    ) -> None:
        """Stop the step, and log those whose times are known."""
        watch = runner.distiller.stopwatch
        watch.stop()
        for seconds in watch.read():
            for part, value in seconds.items():
                runner.message_hub.update_scalar(f'train/time_{part}', value)
