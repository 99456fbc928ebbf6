"""A run that was killed and resumed ends as if nothing had happened."""

from collections.abc import Iterator

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import DATA_SAMPLERS
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from mmkd.datasets.positions import by_position, seed_by
from mmkd.registry import HOOKS


@HOOKS.register_module()
class PositionSeedHook(Hook):
    """Makes the randomness of a training a function of where it stands.

    A sample's augmentation is seeded by (seed, rank, epoch, position in the epoch),
    the main process, dropout say, by (seed, rank, iteration). A resumed run then goes
    on with the very samples and numbers that it would have had, whatever the number of
    workers, without loading what went before: on a CPU to the same bits. It costs some
    50 us a sample. Of an epoch that was left on a signal, the rest is taken; with
    another number of batches it is begun again.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self.done = 0  # batches of the epoch
        self.saved: tuple[int, int] | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Reads how far the epoch was, and how long."""
        if runner._resume:
            self.saved = checkpoint['meta'].get('batches_done')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Notes it."""
        checkpoint['meta']['batches_done'] = self.done, len(runner.train_dataloader)

    def before_train(self, runner: Runner) -> None:
        """Puts a loader in place that begins where the run stands."""
        loop, loader = runner.train_loop, runner.train_dataloader
        # Of MMEngine's, a different one on each rank if so asked: base plus rank.
        own = runner._randomness_cfg.get('diff_rank_seed', False)
        seed = runner.seed - own * get_rank()
        self.seeds = (seed, get_rank())
        counts_iterations = isinstance(loop, IterBasedTrainLoop)
        config = runner._train_dataloader
        if isinstance(config, dict) and isinstance(config.get('sampler'), dict):
            # Anew, since the loop may have begun with it, or with another seed.
            loader.batch_sampler.sampler = DATA_SAMPLERS.build(
                config['sampler'], default_args=dict(dataset=loader.dataset, seed=seed)
            )
        loop.dataloader = by_position(loader, self.seeds, counts_iterations)
        if counts_iterations:
            loop.dataloader.batch_sampler.done = loop.iter
            leaves_out = not getattr(loop, 'fast_forward_on_resume', False)
            loop.dataloader_iterator = Batches(loop.dataloader, loop.iter * leaves_out)
        elif self.saved and self.saved[1] == len(loader):
            loop.dataloader.batch_sampler.done = self.done = self.saved[0]

    def before_train_epoch(self, runner: Runner) -> None:
        """Tells the sampler the epoch."""
        sampler = runner.train_dataloader.batch_sampler
        sampler.epoch, self.first = runner.epoch, self.done

    def after_train_iter(self, runner: Runner, batch_idx: int, *args, **kwargs) -> None:
        """Counts."""
        self.done = self.first + batch_idx + 1

    def after_train_epoch(self, runner: Runner, *args, **kwargs) -> None:
        """Begins to count anew."""
        self.done = 0

    def before_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Seeds what the main process draws."""
        seed_by(*self.seeds, runner.iter, devices=True)


class Batches:
    """The batches of an endless loader that begins at some iteration.

    A loop that resumes takes the ones before from its iterator, to throw them away:
    it gets None for them.
    """

    def __init__(self, loader: DataLoader, done: int) -> None:
        self.done = done
        self.batches: Iterator[object] | None = None
        self.loader = loader

    def skip_iter(self, number: int) -> None:
        """What a newer MMEngine calls instead."""
        self.done -= number

    def __next__(self) -> object:
        if self.done > 0:
            self.done -= 1
            return None
        if self.batches is None:
            self.batches = iter(self.loader)
        return next(self.batches)
