"""What puts something around a data set needs."""

from torch.utils.data import DataLoader, Dataset, Sampler


class WrappedDataset(Dataset):
    """A data set around another, whose attributes it has too.

    Args:
        dataset: The other.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __getattr__(self, name: str) -> object:
        if name == 'dataset':  # not there yet, when unpickled
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
    return DataLoader(
        dataset,
        **order,
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
        prefetch_factor=loader.prefetch_factor,
        persistent_workers=loader.persistent_workers,
    )
