"""Deterministic resume: a resumed run gives the result of an uninterrupted run."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import DATA_SAMPLERS
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from mmkd.datasets.position_seeding import seed_by
from mmkd.registry import HOOKS


@HOOKS.register_module()
class DeterministicHook(Hook):
    """Derive all random seeds of a training from the seed and the iteration.

    The augmentation of a sample is seeded by (seed, rank, epoch, index in the epoch),
    and the main process, for example its dropout, by (seed, rank, iteration). A resumed
    run uses the samples and random numbers of an uninterrupted run, for any number of
    workers and without loading skipped data; on a CPU the result is bit-identical. The
    cost is about 50 us per sample. An epoch interrupted by a signal is continued, or
    restarted if its number of batches has changed.

    Requires :class:`mmkd.engine.runner.Runner`, whose training data are seeded by
    position.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self.done = 0  # completed batches of the epoch
        self.saved: tuple[int, int] | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Read the number of completed batches and the length of the epoch."""
        if runner._resume:
            self.saved = checkpoint['meta'].get('batches_done')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Save the number of completed batches and the length of the epoch."""
        checkpoint['meta']['batches_done'] = self.done, len(runner.train_dataloader)

    def before_train(self, runner: Runner) -> None:
        """Start the data loader at the current iteration."""
        loop, loader = runner.train_loop, runner.train_dataloader
        batches = loader.batch_sampler
        self.seeds = position_seeds(runner)
        seed_loader(loader, runner._train_dataloader, self.seeds)
        batches.endless = isinstance(loop, IterBasedTrainLoop)
        if batches.endless:
            batches.done = loop.iter
            leaves_out = not getattr(loop, 'fast_forward_on_resume', False)
            loop.dataloader_iterator = Batches(loader, loop.iter * leaves_out)
        elif self.saved and self.saved[1] == len(loader):
            batches.done = self.done = self.saved[0]

    def before_train_epoch(self, runner: Runner) -> None:
        """Set the epoch of the sampler."""
        batches = runner.train_dataloader.batch_sampler
        batches.epoch, self.first = runner.epoch, self.done

    def after_train_iter(
        self, runner: Runner, batch_idx: int, *args: object, **kwargs: object
    ) -> None:
        """Count the completed batches of the epoch."""
        self.done = self.first + batch_idx + 1

    def after_train_epoch(
        self, runner: Runner, *args: object, **kwargs: object
    ) -> None:
        """Reset the number of completed batches."""
        self.done = 0

    def before_train_iter(
        self, runner: Runner, *args: object, **kwargs: object
    ) -> None:
        """Seed the main process."""
        seed_by(*self.seeds, runner.iter, devices=True)


def position_seeds(runner: Runner, stream: int = 0) -> tuple[int, int]:
    """Return the seeds of a process: the seed of the run, and the rank.

    Args:
        runner: The Runner.
        stream: Number of the stream of samples, if a training has several; each has
            another seed. Default 0, that of ``train_dataloader``.
    """
    # With diff_rank_seed, runner.seed is the seed of the run plus the rank.
    per_rank = runner._randomness_cfg.get('diff_rank_seed', False)
    seed = runner.seed - per_rank * get_rank()
    if stream:
        seed = int(np.random.SeedSequence((seed, stream)).generate_state(1)[0])
    return seed, get_rank()


def seed_loader(
    loader: Any, config: DataLoader | Mapping, seeds: tuple[int, int]
) -> None:
    """Seed a loader of a Runner by position, with a new sampler.

    The sampler may have been started, maybe with another seed.

    Args:
        loader: The loader.
        config: Its config; the sampler of a DataLoader object is kept.
        seeds: See :func:`position_seeds`.
    """
    batches = loader.batch_sampler
    batches.seeds = seeds
    if isinstance(config, Mapping) and isinstance(config.get('sampler'), Mapping):
        batches.sampler = batches.batch_sampler.sampler = DATA_SAMPLERS.build(
            config['sampler'],
            default_args=dict(dataset=loader.dataset, seed=seeds[0]),
        )


class Batches:
    """Iterator over an infinite loader that starts at a given iteration.

    A resumed loop draws the earlier batches from its iterator and discards them; this
    iterator returns None for these without loading data.
    """

    def __init__(self, loader: DataLoader, done: int) -> None:
        self.done = done
        self.batches: Iterator[object] | None = None
        self.loader = loader

    def skip_iter(self, number: int) -> None:
        """Skip batches; called by newer versions of MMEngine."""
        self.done -= number

    def __next__(self) -> object:
        if self.done > 0:
            self.done -= 1
            return None
        if self.batches is None:
            self.batches = iter(self.loader)
        return next(self.batches)
