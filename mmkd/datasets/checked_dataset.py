"""Dataset whose errors name the files of a sample."""

import logging
import traceback
from pathlib import Path

import torch
from mmengine.logging import print_log
from torch import Tensor
from torch.utils.data import Dataset

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
    """Dataset whose errors name the files of the sample and the likely fix.

    Of a segmentation it checks that a label is one class index per pixel: the format
    and size of its file when a sample is first loaded, on whichever worker; what the
    pipeline has made of it each time, before it reaches a loss or a metric.

    Args:
        dataset: A dataset of MMEngine's, whose ``get_data_info`` names the files.
        classes: Number of classes of the network; by default those of the dataset's
            metainfo. None of both leaves values unchecked.
        ignore_index: The label of ignored pixels.
        skip: Replace a sample whose image or label is corrupt by the next readable
            one, the same in each run, so that runs can be repeated. Default False.
        evaluated: Labels are compared with predictions at the size of the image's
            file, not with the image that the pipeline returns. Default False.
        key: The dataset's config key, for errors.

    Attributes:
        seen: Which classes have occurred and, at the end, if ignored pixels have.

    Raises:
        UserError: instead of whatever loading a sample raises.
    """

    def __init__(
        self,
        dataset: Dataset,
        classes: int | None = None,
        ignore_index: int = 255,
        skip: bool = False,
        evaluated: bool = False,
        key: str = 'dataset',
    ) -> None:
        super().__init__(dataset)
        names = (getattr(dataset, 'metainfo', None) or {}).get('classes') or ()
        classes = len(names) or None if classes is None else classes
        # Seen by all workers.
        checked, skipped, seen, has_other_values = (
            torch.zeros(size, dtype=torch.bool).share_memory_()
            for size in (len(dataset), len(dataset), (classes or 0) + 1, 1)
        )
        # Attributes of these names that the dataset has stay its own.
        vars(self).update(
            _classes=classes,
            ignore_index=ignore_index,
            skip=skip,
            evaluated=evaluated,
            key=key,
            checked=checked,
            skipped=skipped,
            seen=seen,
            has_other_values=has_other_values,
        )

    def __getitem__(self, index: int) -> object:
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
        raise UserError(f'skip_corrupt: none of {len(self)} samples can be read')

    def _sample(self, index: int) -> object:
        first = not self.checked[index]
        if first:
            self._check_files(index)
        try:
            sample = self.dataset[index]
        except Exception as error:  # a pipeline may fail in any way
            raise self._explained(error, index) from error
        for data in data_samples(sample):
            if first:
                self._check_size(index, getattr(data, 'metainfo', {}))
            self._check_label(sample, data, index)
        self.checked[index] = True
        return sample

    def _files(self, index: int) -> list[str]:
        """Return the image and, if there is one, the label."""
        info = getattr(self.dataset, 'get_data_info', lambda index: {})(index)
        paths = (info.get(key) for key in ('img_path', 'seg_map_path'))
        return [path for path in paths if isinstance(path, str)]

    def _check_files(self, index: int) -> None:
        """Check what a pipeline would pass over in silence."""
        files = self._files(index)
        for path in files:
            check_complete(path)
        for label in files[1:]:
            check_format(label, decoders(self.dataset, index))

    def _check_size(self, index: int, metainfo: dict) -> None:
        """Compare the sizes of image and label, where mmseg reads the label."""
        files = self._files(index)
        if len(files) < 2 or not decoders(self.dataset, index):
            return
        if metainfo.get('img_path', files[0]) == files[0]:  # no other in its place
            check_same_size(*files, metainfo.get('ori_shape'))

    def _explained(self, error: Exception, index: int) -> UserError:
        """Return what is wrong with a sample that could not be loaded."""
        if isinstance(error, UserError):
            return error
        files = self._files(index)
        remote = getattr(self.dataset, 'backend_args', None)
        for path in files:
            if not remote and '://' not in path and not Path(path).is_file():
                return UserError(
                    f"'{path}' does not exist, of the sample "
                    f'{describe(files, index)}; do data_prefix and the suffixes match '
                    'the files, or is one missing?'
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
            f'{describe(files, index)}: the pipeline cannot take it ({reason}; in '
            f'{last.filename}, line {last.lineno})'
        )

    def _check_label(self, sample: object, data: object, index: int) -> None:
        """Check the label of a data sample, if it has one, and count its classes."""
        label = getattr(getattr(data, 'gt_sem_seg', None), 'data', None)
        if not isinstance(label, Tensor):
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
        """Raise a UserError if all labels of two classes hold 0 and 255 only."""
        if self.has_other_values or not decoders(self.dataset, index):
            return
        for place in (index, *range(len(self))):
            labels = self._files(place)[1:]
            if not labels or not is_black_and_white(labels[0]):
                self.has_other_values[0] = True
                return
        label = describe(self._files(index)[-1:], index)
        raise UserError(
            f'{self.key}: its labels, such as {label}, hold 0 and 255 only, but '
            f'{self.ignore_index} marks ignored pixels, so there is no pixel of class '
            '1; rewrite 255 to 1 in the labels'
        )


def describe(files: list[str], index: int) -> str:
    """Return the files of a sample, or its index if it has none."""
    return ' with '.join(f"'{file}'" for file in files) or f'sample {index}'


def data_samples(sample: object) -> list:
    """Return a sample's data samples; test-time augmentation makes several."""
    data = sample.get('data_samples') if isinstance(sample, dict) else None
    return data if isinstance(data, list) else [data]
