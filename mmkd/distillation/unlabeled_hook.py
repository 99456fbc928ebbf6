"""Hook that fetches a batch of unlabeled images for each iteration."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mmengine.hooks import Hook

from mmkd.engine.hooks.deterministic_hook import position_seeds, seed_loader
from mmkd.registry import HOOKS

from .distill_hook import progress_of

if TYPE_CHECKING:
    from .distill_runner import DistillRunner

STREAM = 1  # the labeled images are stream 0


@HOOKS.register_module()
class UnlabeledHook(Hook):
    """Give the Distiller a batch of ``unlabeled_dataloader`` before each iteration.

    The batch of an iteration is a function of seed, process and iteration, in loops by
    iterations and by epochs, so that a resumed run gets the batches of an uninterrupted
    one. While the weight of the unlabeled images is 0, none are loaded.
    """

    priority = 'HIGHEST'  # before the main process is seeded for the iteration

    def before_train(self, runner: 'DistillRunner') -> None:
        """Check the schedule, and start the stream of batches at the iteration."""
        unlabeled = runner.distiller.unlabeled
        if unlabeled is not None:
            unlabeled.check_run(progress_of(runner))
            self.batches: Iterator | None = None

    def before_train_iter(
        self, runner: 'DistillRunner', *args: object, **kwargs: object
    ) -> None:
        """Fetch the batch of the iteration."""
        unlabeled = runner.distiller.unlabeled
        if unlabeled is None:
            return
        unlabeled.batch = None
        if unlabeled.factor(progress_of(runner)):
            if self.batches is None:
                self.batches = start(runner)
            unlabeled.batch = next(self.batches)


def start(runner: 'DistillRunner') -> Iterator:
    """Return the endless stream of batches from the current iteration on."""
    loader = runner.unlabeled_dataloader
    seed_loader(loader, runner.cfg.unlabeled_dataloader, position_seeds(runner, STREAM))
    loader.batch_sampler.endless = True
    loader.batch_sampler.done = runner.iter
    return iter(loader)
