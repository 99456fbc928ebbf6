"""Dataset whose errors name the files of a sample."""

import logging
import traceback
from pathlib import Path

import torch
from mmengine.logging import print_log
from torch import Tensor
from torch.utils.data import Dataset

from mmkd.datasets.image_files import CorruptFileError, image_size
from mmkd.datasets.wrapped_dataset import WrappedDataset
from mmkd.errors import UserError


class CheckedDataset(WrappedDataset):
    """Dataset whose errors name the files of the sample and the likely fix.

    The sizes of image and label are compared when a sample is first loaded, on
    whichever worker; the values of its label each time, before they reach a GPU, whose
    errors name no file.

    Args:
        dataset: A dataset of MMEngine's, whose ``get_data_info`` names the files.
        classes: Number of classes of the network; None leaves labels unchecked.
        ignore_index: The label of ignored pixels.
        skip: Replace a sample whose image or label is corrupt by the next readable
            one, the same in each run, so that runs can be repeated. Default False.

    Raises:
        UserError: instead of whatever loading a sample raises.
    """

    def __init__(
        self,
        dataset: Dataset,
        classes: int | None = None,
        ignore_index: int = 255,
        skip: bool = False,
    ) -> None:
        super().__init__(dataset)
        self.classes = classes
        self.ignore_index = ignore_index
        self.skip = skip
        # Seen by all workers.
        self.compared, self.skipped = (
            torch.zeros(len(dataset), dtype=torch.bool).share_memory_()
            for _ in range(2)
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
        if not self.compared[index]:
            check_same_size(*self._files(index))
            self.compared[index] = True
        try:
            sample = self.dataset[index]
        except Exception as error:  # a pipeline may fail in any way
            raise self._explained(error, index) from error
        if self.classes is not None:
            self._check_values(sample, index)
        return sample

    def _files(self, index: int) -> list[str]:
        """Return the image and, if there is one, the label."""
        info = getattr(self.dataset, 'get_data_info', lambda index: {})(index)
        paths = (info.get(key) for key in ('img_path', 'seg_map_path'))
        return [path for path in paths if isinstance(path, str)]

    def _explained(self, error: Exception, index: int) -> UserError:
        """Return what is wrong with a sample that could not be loaded."""
        if isinstance(error, UserError):
            return error
        files = self._files(index)
        for path in files:
            if '://' not in path and not Path(path).is_file():
                return UserError(
                    f"'{path}' does not exist, of the sample "
                    f'{describe(files, index)}; do data_prefix and the suffixes match '
                    'the files, or is one missing?'
                )
            try:
                image_size(path, decode=True)
            except CorruptFileError as corrupt:
                return corrupt
        *_, last = traceback.extract_tb(error.__traceback__)
        reason = ' '.join(f'{type(error).__name__}: {error}'.split())
        return UserError(
            f'{describe(files, index)}: the pipeline cannot take it ({reason}; in '
            f'{last.filename}, line {last.lineno})'
        )

    def _check_values(self, sample: object, index: int) -> None:
        """Raise a UserError for a label value that is no class of the network."""
        data = sample.get('data_samples') if isinstance(sample, dict) else None
        label = getattr(getattr(data, 'gt_sem_seg', None), 'data', None)
        if not isinstance(label, Tensor):
            return
        wrong = label[(label >= self.classes) & (label != self.ignore_index)]
        if wrong.numel():
            raise UserError(
                f'{describe(self._files(index)[-1:], index)}: label value '
                f'{int(wrong.max())}, but num_classes is {self.classes}, and '
                f'{self.ignore_index} is ignored; does the dataset need '
                'reduce_zero_label or another metainfo, or the network more classes?'
            )


def check_same_size(image: str = '', label: str = '') -> None:
    """Raise a UserError unless an image and its label have the same size."""
    sizes = [image_size(path) for path in (image, label)]
    # EXIF may turn the image that it comes with.
    if None not in sizes and sorted(sizes[0]) != sorted(sizes[1]):
        ours, theirs = ('x'.join(map(str, size)) for size in sizes)
        raise UserError(
            f"'{label}' is {theirs}, but its image '{image}' is {ours}; labels are "
            'pixel by pixel: do both come from the same version of the dataset?'
        )


def describe(files: list[str], index: int) -> str:
    """Return the files of a sample, or its index if it has none."""
    return ' with '.join(f"'{file}'" for file in files) or f'sample {index}'
