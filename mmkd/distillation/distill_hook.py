"""Hook that connects a Distiller with its Runner."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmengine.dist import broadcast
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, TestLoop, ValLoop

from mmkd.errors import UserError
from mmkd.evaluation import FidelityMetric
from mmkd.losses.schedule import Progress
from mmkd.registry import HOOKS

from .match_classes import plain

if TYPE_CHECKING:
    from .distill_runner import DistillRunner
    from .teacher import Teacher


@HOOKS.register_module()
class DistillHook(Hook):
    """Check a distillation and update, save and restore the state of its Distiller.

    * Before the first iteration: map the teacher's classes to the dataset's, and refuse
      another ``reduce_zero_label`` and a schedule that is invalid for the length of the
      run.
    * Before each iteration: set :attr:`Distiller.progress`.
    * Before each validation: enable the teacher's predictions if a metric compares both
      networks.
    * With each checkpoint: save and restore the learnable parameters of the losses and
      their automatic weights, as ``distill_losses`` next to the student's
      ``state_dict``.
    """

    def before_train(self, runner: 'DistillRunner') -> None:
        """Map classes, check schedules, and broadcast the losses' parameters."""
        distiller = runner.distiller
        metainfo = getattr(runner.train_dataloader.dataset, 'metainfo', None) or {}
        distiller.map_classes(metainfo.get('classes'))
        for teacher in distiller.teacher.members.values():
            check_zero_label(teacher, metainfo)
        for loss in distiller.losses:
            loss.check_run(progress_of(runner))
        for parameter in distiller.distill_losses.parameters():
            broadcast(parameter.data)

    def before_train_iter(
        self, runner: 'DistillRunner', *args: object, **kwargs: object
    ) -> None:
        """Set the Distiller's progress."""
        runner.distiller.progress = progress_of(runner)

    def before_val(self, runner: 'DistillRunner') -> None:
        """Enable the teacher's predictions if a metric compares both networks."""
        self._set_compares(runner, runner.val_loop)

    def before_test(self, runner: 'DistillRunner') -> None:
        """Enable the teacher's predictions if a metric compares both networks."""
        self._set_compares(runner, runner.test_loop)

    def _set_compares(self, runner: 'DistillRunner', loop: ValLoop | TestLoop) -> None:
        if runner.teacher is not None:
            runner.distiller.compares = any(
                isinstance(metric, FidelityMetric) for metric in loop.evaluator.metrics
            )

    def before_save_checkpoint(self, runner: 'DistillRunner', checkpoint: dict) -> None:
        """Save the learnable parameters of the losses."""
        state = runner.distiller.distill_losses.state_dict()
        if state:
            checkpoint['distill_losses'] = state

    def after_load_checkpoint(self, runner: 'DistillRunner', checkpoint: dict) -> None:
        """Restore the learnable parameters of the losses when resuming.

        Raises:
            UserError: if the parameters in the checkpoint differ from the config's.
        """
        losses = runner.distiller.distill_losses
        if not runner._resume:
            return
        saved = checkpoint.get('distill_losses') or {}
        if different := sorted(set(losses.state_dict()) ^ set(saved)):
            in_checkpoint = different[0] in saved
            where = 'the config' if in_checkpoint else 'the checkpoint to resume from'
            name = different[0].removesuffix('._extra_state')
            raise UserError(
                f'distill_losses.{name}: a parameter that {where} lacks, '
                'because the run had other losses; resume with the losses of that run, '
                'or start a new run from the checkpoint with load_from'
            )
        losses.load_state_dict(saved)


def progress_of(runner: 'DistillRunner') -> Progress:
    """Return the progress of a Runner's training."""
    counts_epochs = not isinstance(runner.train_loop, IterBasedTrainLoop)
    return Progress(
        runner.iter,
        runner.epoch,
        runner.max_iters,
        runner.max_epochs if counts_epochs else None,
    )


def check_zero_label(teacher: 'Teacher', metainfo: Mapping) -> None:
    """Raise a UserError if the teacher's ``reduce_zero_label`` differs from ours.

    The indices of its classes are then off by one. With class names of its own, it was
    trained on another dataset, whose setting does not matter.

    Args:
        teacher: The teacher.
        metainfo: Metainfo of the training dataset.
    """
    names = [plain(str(name)) for name in metainfo.get('classes') or ()]
    if teacher.classes and [plain(str(name)) for name in teacher.classes] != names:
        return
    theirs, ours = teacher.reduces_zero_label, metainfo.get('reduce_zero_label')
    if theirs is None or ours is None or theirs == ours:
        return
    raise UserError(
        f'{teacher.key}.reduce_zero_label: the teacher was trained with {theirs}, but '
        f'train_dataloader.dataset has reduce_zero_label={ours}, so that their classes '
        'are off by one; use the same setting, or, if the label files differ '
        f'accordingly, set {teacher.key}.reduce_zero_label={ours}'
    )
