"""Seeding of each sample by its index in the stream of samples.

The augmentation of a sample then depends neither on previous samples of its worker, nor
on the number of workers, nor on interruptions of the run.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import numpy as np
import torch
from torch.utils.data import BatchSampler, Sampler

from mmkd.datasets.wrapped_dataset import WrappedDataset
from mmkd.errors import UserError


def seed_by(*numbers: int, devices: bool = False) -> None:
    """Seed the generators of Python, NumPy and PyTorch with a hash of numbers.

    Args:
        numbers: Integers >= 0.
        devices: Also seed the generators of GPUs, which takes ten times as long.
            Default False.

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
    """Restore the state of all random number generators at the end of this context.

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
        batch_sampler: Sampler of batches of indices. If its ``sampler`` has no
            ``set_epoch`` but a ``generator``, like PyTorch's samplers, the generator is
            seeded for each epoch.
        seeds: Seeds of the whole stream: the seed of the run, and the rank.
        key: Config key of the loader, for error messages.

    Attributes:
        endless: Continue with the next epoch forever, for iteration-based loops.
        epoch: Epoch to yield, unless endless.
        done: Number of batches that the next iterator skips without loading them.
    """

    def __init__(
        self,
        batch_sampler: BatchSampler,
        seeds: tuple[int, ...],
        key: str = 'train_dataloader',
    ) -> None:
        self.batch_sampler = batch_sampler
        self.sampler: Any = getattr(batch_sampler, 'sampler', None)
        self.seeds = seeds
        self.key = key
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
                    f'{self.key}: an epoch has no batch; decrease batch_size, or '
                    'set drop_last=False'
                )


class PositionDataset(WrappedDataset):
    """Dataset wrapper that seeds the random numbers of each sample.

    Indices are those of :class:`PositionBatchSampler`, or plain indices, which do not
    seed.

    Args:
        dataset: Dataset to wrap; its attributes are available on the wrapper.
    """

    def __getitem__(self, place: tuple[int, ...] | int) -> object:
        if isinstance(place, tuple):
            place, *numbers = place
            seed_by(*numbers)
        return self.dataset[place]
