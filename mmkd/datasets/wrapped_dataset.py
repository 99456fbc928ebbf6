"""Dataset wrapper, and replacement of a loader's dataset."""

import os
import signal
from collections.abc import Callable, Iterable
from functools import partial
from multiprocessing.util import Finalize
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset


class WrappedDataset(Dataset):
    """Wrapper of a dataset with the same attributes.

    Args:
        dataset: Dataset to wrap.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset: Any = dataset  # Dataset declares no length

    def __getattr__(self, name: str) -> Any:
        # While unpickling there is no dataset yet. Special methods, for example for
        # pickling, copying or fetching, are never forwarded.
        if name == 'dataset' or name.startswith('__'):
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __setattr__(self, name: str, value: object) -> None:
        # Hooks may, for example, replace the dataset's pipeline during training.
        inner = self.__dict__.get('dataset')
        if name not in self.__dict__ and hasattr(inner, name):
            setattr(inner, name, value)
        else:
            super().__setattr__(name, value)

    def __len__(self) -> int:
        return len(self.dataset)


def with_dataset(
    loader: DataLoader, dataset: Dataset, batch_sampler: Iterable | None = None
) -> DataLoader:
    """Return a copy of a loader with another dataset.

    A DataLoader does not allow replacing its dataset.
    """
    if batch_sampler is None and loader.batch_size is None:
        batch_sampler = loader.batch_sampler
    order: dict[str, Any]
    if batch_sampler is not None:
        order = dict(batch_sampler=batch_sampler)
    else:
        order = dict(
            batch_size=loader.batch_size,
            sampler=loader.sampler,
            drop_last=loader.drop_last,
        )
    leaving = torch.zeros(1, dtype=torch.bool).share_memory_()
    # Runs before multiprocessing terminates its remaining child processes.
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
    """Ignore SIGTERM and Ctrl-C in a worker until the main process exits.

    Job schedulers and terminals often send them to all processes. The main process then
    saves a checkpoint, which a terminated worker would prevent. When it exits, it ends
    the workers with SIGTERM.
    """

    def handle(number: int, frame: object) -> None:
        if leaving:
            os._exit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    if then is not None:
        then(worker)
