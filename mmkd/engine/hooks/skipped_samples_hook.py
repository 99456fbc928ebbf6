"""Report of skipped training samples."""

from typing import TYPE_CHECKING

from mmengine.dist import all_reduce
from mmengine.hooks import Hook

from mmkd.registry import HOOKS

if TYPE_CHECKING:
    from mmkd.engine.runner import Runner


@HOOKS.register_module()
class SkippedSamplesHook(Hook):
    """Log the number of corrupt samples skipped because of ``skip_corrupt = True``.

    ``skip_corrupt`` is a top-level key of the config, like ``load_from`` and
    ``resume``, since it concerns a single run: ``--cfg-options skip_corrupt=True``
    makes a run continue after a corrupt file. Validation and test never skip samples,
    so that a metric always covers all images.
    """

    def after_train(self, runner: 'Runner') -> None:
        """Log the number of skipped samples over all processes."""
        if not runner.cfg.get('skip_corrupt'):
            return
        for what, loader in runner.training_loaders.items():
            skipped = loader.dataset.skipped.int()
            all_reduce(skipped, op='max')
            runner.logger.info(
                f'skip_corrupt: {int(skipped.sum())} of {len(skipped)} {what} samples '
                'were skipped'
            )
