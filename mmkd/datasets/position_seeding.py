"""Randomness as a function of the position in the stream of samples.

The augmentation of a sample then depends neither on the samples that its worker made
before, nor on the number of workers, nor on whether the run was interrupted.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import numpy as np
import torch
from torch.utils.data import Sampler

from mmkd.datasets.wrapped_dataset import WrappedDataset
from mmkd.errors import UserError


def seed_by(*numbers: int, devices: bool = False) -> None:
    """Seed the generators of Python, NumPy and PyTorch with a mix of some numbers.

    Args:
        numbers: Integers >= 0.
        devices: Also seed the GPUs' generators, which takes ten times as long.

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
    """Restore all random number generators at the end of this context.

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
    """Batches of ``(index, *seeds, epoch, position)`` for :class:`PositionDataset`.

    Args:
        batch_sampler: Yields the indices. If its ``sampler`` has no ``set_epoch``, but
            a ``generator``, as PyTorch's samplers do, this is seeded for each epoch.
        seeds: Seeds of the stream as a whole: the run's seed and the rank.

    Attributes:
        endless: Start the next epoch without end, as loops that count iterations do.
        epoch: The epoch to yield, unless endless.
        done: Batches to leave out of the next iteration; none of them is loaded.
    """

    def __init__(self, batch_sampler: Sampler, seeds: tuple[int, ...]) -> None:
        self.batch_sampler = batch_sampler
        self.sampler = getattr(batch_sampler, 'sampler', None)
        self.seeds = seeds
        self.endless = False
        self.epoch = 0
        self.done = 0

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[list[tuple[int, ...]]]:
        left_out, self.done = self.done, 0
        for epoch in count() if self.endless else [self.epoch]:
            if hasattr(self.sampler, 'set_epoch'):
                self.sampler.set_epoch(epoch)
            elif hasattr(self.sampler, 'generator'):
                mixed = np.random.SeedSequence((*self.seeds, epoch)).generate_state(1)
                self.sampler.generator = torch.Generator().manual_seed(int(mixed[0]))
            position = 0
            for batch in self.batch_sampler:
                positions = range(position, position + len(batch))
                position += len(batch)
                if left_out:
                    left_out -= 1
                    continue
                yield [
                    (index, *self.seeds, epoch, place)
                    for index, place in zip(batch, positions, strict=True)
                ]
            if not position:
                raise UserError(
                    'train_dataloader: there is no batch in an epoch; lower '
                    'batch_size, or set drop_last=False'
                )


class PositionDataset(WrappedDataset):
    """Dataset whose samples' random numbers depend on their position alone.

    Indexed as :class:`PositionBatchSampler` does, or by a plain index, without seeding.

    Args:
        dataset: The dataset to wrap; its attributes are available here.
    """

    def __getitem__(self, place: tuple[int, ...] | int) -> object:
        if isinstance(place, tuple):
            place, *numbers = place
            seed_by(*numbers)
        return self.dataset[place]
