"""Deterministic resume: a killed and resumed run ends as an uninterrupted one."""

from collections.abc import Iterator

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import DATA_SAMPLERS
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from mmkd.datasets.position_seeding import seed_by
from mmkd.registry import HOOKS


@HOOKS.register_module()
class DeterministicHook(Hook):
    """Make the randomness of a training a function of its position.

    The augmentation of a sample is seeded by (seed, rank, epoch, position in the
    epoch), the main process, for dropout say, by (seed, rank, iteration). A resumed run
    continues with the samples and random numbers that it would have had, whatever the
    number of workers, without loading the data before: on a CPU bit-identically. It
    costs about 50 us a sample. An epoch that was left on a signal is continued; with
    another number of batches it starts again.

    For a :class:`mmkd.engine.runner.Runner`, whose training data are position-seeded.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self.done = 0  # batches of the epoch
        self.saved: tuple[int, int] | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Read the position in the epoch, and the epoch's length."""
        if runner._resume:
            self.saved = checkpoint['meta'].get('batches_done')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Save the position in the epoch."""
        checkpoint['meta']['batches_done'] = self.done, len(runner.train_dataloader)

    def before_train(self, runner: Runner) -> None:
        """Start the data at the position of the run."""
        loop, loader = runner.train_loop, runner.train_dataloader
        batches = loader.batch_sampler
        self.seeds = batches.seeds = position_seeds(runner)
        config = runner._train_dataloader
        if isinstance(config, dict) and isinstance(config.get('sampler'), dict):
            # A new one: the loop may have started it, or with another seed.
            batches.sampler = batches.batch_sampler.sampler = DATA_SAMPLERS.build(
                config['sampler'],
                default_args=dict(dataset=loader.dataset, seed=self.seeds[0]),
            )
        batches.endless = isinstance(loop, IterBasedTrainLoop)
        if batches.endless:
            batches.done = loop.iter
            leaves_out = not getattr(loop, 'fast_forward_on_resume', False)
            loop.dataloader_iterator = Batches(loader, loop.iter * leaves_out)
        elif self.saved and self.saved[1] == len(loader):
            batches.done = self.done = self.saved[0]

    def before_train_epoch(self, runner: Runner) -> None:
        """Tell the sampler the epoch."""
        batches = runner.train_dataloader.batch_sampler
        batches.epoch, self.first = runner.epoch, self.done

    def after_train_iter(self, runner: Runner, batch_idx: int, *args, **kwargs) -> None:
        """Count the batches of the epoch."""
        self.done = self.first + batch_idx + 1

    def after_train_epoch(self, runner: Runner, *args, **kwargs) -> None:
        """Reset the count."""
        self.done = 0

    def before_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Seed the main process."""
        seed_by(*self.seeds, runner.iter, devices=True)


def position_seeds(runner: Runner) -> tuple[int, int]:
    """Return the seeds of a run's random numbers: its seed and the rank."""
    # With diff_rank_seed MMEngine's own seed is the base plus the rank.
    per_rank = runner._randomness_cfg.get('diff_rank_seed', False)
    return runner.seed - per_rank * get_rank(), get_rank()


class Batches:
    """Batches of an endless loader that starts at some iteration.

    A loop that resumes takes the batches before that from its iterator and drops them:
    it gets None for them.
    """

    def __init__(self, loader: DataLoader, done: int) -> None:
        self.done = done
        self.batches: Iterator[object] | None = None
        self.loader = loader

    def skip_iter(self, number: int) -> None:
        """Skip batches, as newer versions of MMEngine ask for."""
        self.done -= number

    def __next__(self) -> object:
        if self.done > 0:
            self.done -= 1
            return None
        if self.batches is None:
            self.batches = iter(self.loader)
        return next(self.batches)
