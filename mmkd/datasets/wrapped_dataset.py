"""What puts something around a data set needs."""

import os
import signal
from collections.abc import Callable
from functools import partial
from multiprocessing.util import Finalize

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler


class WrappedDataset(Dataset):
    """A data set around another, whose attributes it has too.

    Args:
        dataset: The other.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __getattr__(self, name: str) -> object:
        # The data set is not there yet, when unpickled; how to be pickled, copied or
        # fetched from is each one's own.
        if name == 'dataset' or name.startswith('__'):
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __len__(self) -> int:
        return len(self.dataset)


def with_dataset(
    loader: DataLoader, dataset: Dataset, batch_sampler: Sampler | None = None
) -> DataLoader:
    """A loader like another, of a data set around its own.

    A DataLoader does not let its data set be replaced.
    """
    if batch_sampler is None and loader.batch_size is None:
        batch_sampler = loader.batch_sampler
    if batch_sampler is not None:
        order = dict(batch_sampler=batch_sampler)
    else:
        order = dict(
            batch_size=loader.batch_size,
            sampler=loader.sampler,
            drop_last=loader.drop_last,
        )
    leaving = torch.zeros(1, dtype=torch.bool).share_memory_()
    # Before multiprocessing ends what is left of its children.
    Finalize(None, leaving.fill_, (True,), exitpriority=100)
    return DataLoader(
        dataset,
        **order,
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        worker_init_fn=partial(start_worker, loader.worker_init_fn, leaving),
        multiprocessing_context=loader.multiprocessing_context,
        prefetch_factor=loader.prefetch_factor,
        persistent_workers=loader.persistent_workers,
    )


def start_worker(
    then: Callable[[int], None] | None, leaving: Tensor, worker: int
) -> None:
    """Leaves a scheduler's SIGTERM to the main process, which saves first.

    It often goes to all processes, and a worker that dies takes the run with it. Once
    the main process is leaving, the workers are told to in the same way.
    """

    def handle(number: int, frame: object) -> None:
        if leaving:
            os._exit(0)

    signal.signal(signal.SIGTERM, handle)
    if then is not None:
        then(worker)
