"""Dataset wrapper that checks samples and names their files in errors."""

import logging
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mmkd.datasets.image_files import (
    CorruptFileError,
    check_complete,
    check_decodable,
)
from mmkd.datasets.label_files import (
    check_format,
    check_same_size,
    decoders,
    is_black_and_white,
)
from mmkd.datasets.label_values import check_shape, check_values, values_of
from mmkd.datasets.wrapped_dataset import WrappedDataset
from mmkd.errors import UserError


class CheckedDataset(WrappedDataset):
    """Dataset wrapper whose errors name the files of the sample and the likely fix.

    For segmentation it checks that a label contains one class index per pixel. The
    format and size of the label file are checked when a sample is first loaded in any
    worker; the label returned by the pipeline is checked every time, before it reaches
    a loss or metric.

    Args:
        dataset: Dataset of MMEngine whose ``get_data_info`` names the files.
        classes: Number of classes of the network. Default: number of classes in the
            dataset's metainfo; without these, label values are not checked.
        ignore_index: Label of ignored pixels.
        skip: Replace a sample with a corrupt image or label by the next readable one,
            which is the same in every run. Default False.
        evaluated: True if labels are compared with predictions at the size of the image
            file instead of the image returned by the pipeline. Default False.
        key: Config key of the dataset, for error messages.
        labeled: False if labels are not used, whose files are then not checked.
            Default True.

    Attributes:
        seen: Boolean tensor of classes that have occurred; the last entry is True if
            ignored pixels have occurred.

    Raises:
        UserError: for any exception while a sample is loaded.
    """

    def __init__(
        self,
        dataset: Dataset,
        classes: int | None = None,
        ignore_index: int = 255,
        skip: bool = False,
        evaluated: bool = False,
        key: str = 'dataset',
        labeled: bool = True,
    ) -> None:
        super().__init__(dataset)
        names = (getattr(dataset, 'metainfo', None) or {}).get('classes') or ()
        classes = len(names) or None if classes is None else classes
        # Shared by all workers.
        checked, skipped, seen, has_other_values = (
            torch.zeros(size, dtype=torch.bool).share_memory_()
            for size in (len(self), len(self), (classes or 0) + 1, 1)
        )
        # Do not overwrite attributes of the dataset with the same names.
        vars(self).update(
            _classes=classes,
            ignore_index=ignore_index,
            skip=skip,
            evaluated=evaluated,
            key=key,
            labeled=labeled,
            checked=checked,
            skipped=skipped,
            seen=seen,
            has_other_values=has_other_values,
        )

    def __getitem__(self, index: int) -> Mapping:
        if not self.skip:
            return self._sample(index)
        for place in (*range(index, len(self)), *range(index)):
            try:
                return self._sample(place)
            except CorruptFileError as error:
                if not self.skipped[place]:
                    self.skipped[place] = True
                    file, _, _ = str(error).partition(';')
                    print_log(f'skipped: {file}', 'current', logging.WARNING)
        raise UserError(
            f'skip_corrupt: none of {len(self)} samples of {self.key} can be read; '
            'check the files'
        )

    def _sample(self, index: int) -> Mapping:
        first = not self.checked[index]
        if first:
            self._check_files(index)
        try:
            sample = self.dataset[index]
        except Exception as error:  # a pipeline can raise any exception
            raise self._explained(error, index) from error
        for data in data_samples(sample):
            if first:
                self._check_size(index, getattr(data, 'metainfo', {}))
            self._check_label(sample, data, index)
        self.checked[index] = True
        return sample

    def _files(self, index: int) -> list[str]:
        """Return the paths of the image and, if there is one, the label."""
        info: Mapping = getattr(self.dataset, 'get_data_info', lambda index: {})(index)
        keys = ('img_path', 'seg_map_path')[: 1 + self.labeled]
        paths = (info.get(key) for key in keys)
        return [path for path in paths if isinstance(path, str)]

    def _check_files(self, index: int) -> None:
        """Check for problems that a pipeline would ignore silently."""
        files = self._files(index)
        for path in files:
            check_complete(path)
        for label in files[1:]:
            check_format(label, decoders(self.dataset, index))

    def _check_size(self, index: int, metainfo: dict) -> None:
        """Compare the sizes of image and label if mmseg's loader reads the label."""
        files = self._files(index)
        if len(files) < 2 or not decoders(self.dataset, index):
            return
        if metainfo.get('img_path', files[0]) == files[0]:  # image was not replaced
            check_same_size(files[0], files[1], metainfo.get('ori_shape'))

    def _explained(self, error: Exception, index: int) -> UserError:
        """Explain why a sample could not be loaded."""
        if isinstance(error, UserError):
            return error
        files = self._files(index)
        remote = getattr(self.dataset, 'backend_args', None)
        for path in files:
            if not remote and '://' not in path and not Path(path).is_file():
                return UserError(
                    f"'{path}' does not exist, but belongs to the sample "
                    f'{describe(files, index)}; check data_prefix and the suffixes, or '
                    'add the missing file'
                )
        try:
            for path in files:
                check_decodable(path)
            self._check_size(index, {})
        except UserError as found:
            return found
        *_, last = traceback.extract_tb(error.__traceback__)
        reason = ' '.join(f'{type(error).__name__}: {error}'.split())
        return UserError(
            f'{describe(files, index)}: the pipeline fails on this sample ({reason}; '
            f'in {last.filename}, line {last.lineno}); correct the pipeline or files'
        )

    def _check_label(self, sample: Mapping, data: object, index: int) -> None:
        """Check the label of a data sample, if any, and record its classes."""
        label = getattr(getattr(data, 'gt_sem_seg', None), 'data', None)
        if not isinstance(label, Tensor) or not self.labeled:
            return
        try:
            if self.evaluated:
                size = getattr(data, 'metainfo', {}).get('ori_shape')
            else:
                size = getattr(sample.get('inputs'), 'shape', ())[-2:]
            check_shape(label, size, self.evaluated, self.key)
            if self._classes is None:
                return
            values = values_of(label)
            check_values(values, self._classes, self.ignore_index)
        except UserError as error:
            raise UserError(
                f'{describe(self._files(index)[-1:], index)}: {error}'
            ) from None
        if self._classes == 2 and self.ignore_index in values and 1 not in values:
            self._check_black_and_white(index)
        void = self._classes
        self.seen[[void if x == self.ignore_index else x for x in values]] = True

    def _check_black_and_white(self, index: int) -> None:
        """Raise a UserError if all labels of two classes contain only 0 and 255."""
        if self.has_other_values or not decoders(self.dataset, index):
            return
        for place in (index, *range(len(self))):
            labels = self._files(place)[1:]
            if not labels or not is_black_and_white(labels[0]):
                self.has_other_values[0] = True
                return
        label = describe(self._files(index)[-1:], index)
        raise UserError(
            f'{self.key}: its labels, such as {label}, contain only 0 and 255, but '
            f'{self.ignore_index} marks ignored pixels, so there is no pixel of class '
            '1; replace 255 by 1 in the labels'
        )


def describe(files: list[str], index: int) -> str:
    """Describe a sample by its files, or by its index without files."""
    return ' with '.join(f"'{file}'" for file in files) or f'sample {index}'


def data_samples(sample: object) -> list:
    """Return the data samples of a sample; test-time augmentation has several."""
    data = sample.get('data_samples') if isinstance(sample, dict) else None
    return data if isinstance(data, list) else [data]


def load_first(dataset: Dataset, loader: DataLoader) -> Any:
    """Load the first sample like a loader would, in a worker if the loader has any.

    Workers must not share a file that the dataset opens when it is first read.

    Returns:
        The sample as a batch of one.
    """
    (batch,) = DataLoader(
        dataset,
        batch_size=None if loader.batch_sampler is None else 1,
        sampler=[0],
        num_workers=min(loader.num_workers, 1),
        collate_fn=loader.collate_fn,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
    )
    return batch
