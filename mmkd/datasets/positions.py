"""Randomness as a function of the position in the stream of samples.

What a sample looks like then depends neither on how many samples its worker has made
before, nor on how many workers there are, nor on whether the run was interrupted.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from mmkd.datasets.wrapping import WrappedDataset, with_dataset
from mmkd.errors import UserError


def seed_by(*numbers: int, devices: bool = False) -> None:
    """Seeds Python's, NumPy's and PyTorch's generators with a mix of some numbers.

    Those of the GPUs, which takes ten times as long, only with ``devices``.

    Example:
        >>> seed_by(0, 7)
        >>> first = torch.rand(1)
        >>> seed_by(0, 7)
        >>> bool(torch.rand(1) == first)
        True
    """
    state = np.random.SeedSequence(numbers).generate_state(3)
    random.seed(int(state[0]))
    np.random.seed(state[1])
    seed = torch.manual_seed if devices else torch.default_generator.manual_seed
    seed(int(state[2]))


@contextmanager
def random_numbers_kept() -> Iterator[None]:
    """Has what runs within not move the random numbers of what follows.

    Example:
        >>> seed_by(0, 7)
        >>> first = torch.rand(1)
        >>> seed_by(0, 7)
        >>> with random_numbers_kept():
        ...     other = torch.rand(1)
        >>> bool(torch.rand(1) == first)
        True
    """
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


class PositionBatchSampler(Sampler):
    """Says beside each index of a batch at which epoch and position it stands.

    Args:
        batch_sampler: Gives the indices; its ``sampler`` may have ``set_epoch``.
        endless: Whether to begin the next epoch by itself, as loops do that count
            iterations.
    """

    def __init__(self, batch_sampler: Sampler, endless: bool) -> None:
        self.batch_sampler = batch_sampler
        self.sampler = getattr(batch_sampler, 'sampler', None)
        self.endless = endless
        self.epoch = 0
        self.done = 0

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[list[tuple[int, int, int]]]:
        """Leaves out the first ``done`` batches, once; none of them is loaded."""
        left_out, self.done = self.done, 0
        for epoch in count() if self.endless else [self.epoch]:
            if hasattr(self.sampler, 'set_epoch'):
                self.sampler.set_epoch(epoch)
            position = 0
            for batch in self.batch_sampler:
                places = count(position)
                position += len(batch)
                if left_out:
                    left_out -= 1
                    continue
                yield [(i, epoch, p) for i, p in zip(batch, places, strict=False)]
            if not position:
                raise UserError(
                    'train_dataloader: there is not one batch in an epoch; lower '
                    'batch_size, or set drop_last=False'
                )


class PositionDataset(WrappedDataset):
    """A data set whose samples' random numbers depend on their position alone.

    Args:
        dataset: Whose attributes this one has too.
        seeds: What the stream as a whole depends on: the run's seed and the rank.
    """

    def __init__(self, dataset: Dataset, seeds: tuple[int, ...]) -> None:
        super().__init__(dataset)
        self.seeds = seeds

    def __getitem__(self, place: tuple[int, int, int]) -> object:
        index, *position = place
        seed_by(*self.seeds, *position)
        return self.dataset[index]


def by_position(
    loader: DataLoader, seeds: tuple[int, ...], endless: bool
) -> DataLoader:
    """A loader of the same batches, with randomness by position."""
    return with_dataset(
        loader,
        PositionDataset(loader.dataset, seeds),
        PositionBatchSampler(loader.batch_sampler, endless),
    )
