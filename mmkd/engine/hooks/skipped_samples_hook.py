"""Report of the training samples that were skipped."""

from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmkd.registry import HOOKS


@HOOKS.register_module()
class SkippedSamplesHook(Hook):
    """Log the number of corrupt samples that ``skip_corrupt = True`` has left out.

    A top-level key of the config, beside ``load_from`` and ``resume``, as it is about
    the run at hand: ``--cfg-options skip_corrupt=True`` gets a run past a bad file.
    Validation and test never skip: a metric is always one of all images.
    """

    def after_train(self, runner: Runner) -> None:
        """Count over all processes."""
        if not runner.cfg.get('skip_corrupt'):
            return
        skipped = runner.train_dataloader.dataset.skipped.int()
        all_reduce(skipped, op='max')
        runner.logger.info(
            f'skip_corrupt: {int(skipped.sum())} of {len(skipped)} training samples '
            'were skipped'
        )
