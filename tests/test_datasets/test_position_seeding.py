"""Randomness by position: whatever the workers, and whatever was interrupted."""

import random
from functools import partial

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler, worker_init_fn
from torch.utils.data import DataLoader, Dataset

from mmkd.datasets.position_seeding import PositionBatchSampler, PositionDataset
from mmkd.datasets.wrapped_dataset import with_dataset
from mmkd.errors import UserError


class Noise(Dataset):
    """Each sample is its index and a number of each generator."""

    metainfo = dict(classes=('noise',))

    def __init__(self, length=10):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return index, random.random(), np.random.rand(), torch.rand(1).item()


def loader_of(workers=0, seeds=(0, 0), endless=True, done=0, epoch=0, **options):
    dataset = options.pop('dataset', Noise())
    kind = InfiniteSampler if endless else DefaultSampler
    loader = DataLoader(
        dataset,
        options.pop('batch_size', 3),
        sampler=options.pop('sampler', None) or kind(dataset, seed=1),
        num_workers=workers,
        collate_fn=list,
        worker_init_fn=partial(worker_init_fn, num_workers=workers, rank=0, seed=5),
        persistent_workers=workers > 0,
        **options,
    )
    batches = PositionBatchSampler(loader.batch_sampler, seeds)
    batches.endless, batches.done, batches.epoch = endless, done, epoch
    loader = with_dataset(loader, PositionDataset(dataset), batches)
    return loader


def take(loader, number):
    return [batch for batch, _ in zip(loader, range(number), strict=False)]


@pytest.fixture(scope='module')
def whole():
    return take(loader_of(), 12)


@pytest.mark.parametrize('workers', [0, 1, 4])
@pytest.mark.parametrize('done', [0, 5, 11])
def test_same_samples(whole, workers, done):
    assert take(loader_of(workers, done=done), 12 - done) == whole[done:]


def test_each_sample_is_its_own(whole):
    numbers = [number for batch in whole for sample in batch for number in sample[1:]]
    assert len(set(numbers)) == len(numbers) == 3 * 3 * 12


@pytest.mark.parametrize('seeds', [(1, 0), (0, 1)])
def test_another_seed_or_rank_is_another_stream(whole, seeds):
    found = take(loader_of(seeds=seeds), 12)
    assert [[s[0] for s in b] for b in found] == [[s[0] for s in b] for b in whole]
    assert not {s[1] for b in found for s in b} & {s[1] for b in whole for s in b}


@pytest.mark.parametrize('workers', [0, 2])
def test_epochs(workers):
    """Each has a stream of its own, from the start or within it."""
    epochs = [take(loader_of(endless=False, epoch=e), 9) for e in range(2)]
    assert [len(epoch) for epoch in epochs] == [4, 4]
    assert sorted(s[0] for b in epochs[0] for s in b) == list(range(10))
    assert not {s[1] for b in epochs[0] for s in b} & {
        s[1] for b in epochs[1] for s in b
    }
    loader = loader_of(workers, endless=False, done=3, epoch=0)
    assert list(loader) == epochs[0][3:]
    loader.batch_sampler.epoch = 1
    assert list(loader) == epochs[1]


def test_epochs_of_a_loop_that_counts_iterations():
    """A sampler that ends starts again with the next epoch's order."""
    dataset = Noise()

    def found(done):
        sampler = DefaultSampler(dataset, seed=1)
        return take(loader_of(dataset=dataset, sampler=sampler, done=done), 8 - done)

    assert found(6) == found(0)[6:]
    orders = [[s[0] for b in found(0)[i : i + 4] for s in b] for i in (0, 4)]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(10))
    assert orders[0] != orders[1]


def test_less_than_a_batch():
    dataset = Noise(2)
    sampler = DefaultSampler(dataset)
    loader = loader_of(dataset=dataset, sampler=sampler, drop_last=True)
    with pytest.raises(UserError, match='decrease batch_size'):
        next(iter(loader))


def test_the_dataset_keeps_its_attributes():
    loader = loader_of()
    assert loader.dataset.metainfo == Noise.metainfo
    assert len(loader.dataset) == 10
    assert len(loader_of(endless=False)) == 4


def test_nothing_that_is_left_out_is_loaded():
    """79,000 iterations are left out in a moment."""

    class Counting(Noise):
        loaded = 0

        def __getitem__(self, index):
            self.loaded += 1
            return super().__getitem__(index)

    dataset = Counting(2975)
    loader = loader_of(dataset=dataset, done=79_000, batch_size=2)
    next(iter(loader))
    assert dataset.loaded == 2
