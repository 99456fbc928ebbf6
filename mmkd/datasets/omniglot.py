"""Omniglot as a classification dataset in which every character is a class."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmcv import imfrombytes
from mmengine.dataset import BaseDataset

from mmkd.errors import UserError
from mmkd.registry import DATASETS

DRAWERS = {'train': range(1, 15), 'test': range(15, 21)}


@DATASETS.register_module()
class Omniglot(BaseDataset):
    """Handwritten characters, 105x105, each drawn once by the same 20 people.

    The split is by drawer: 1 to 14 for training, 15 to 20 for testing. The images,
    black ink on white, are read once and kept in memory, 3 x 11 kB each.

    Args:
        data_root: Folder that contains ``subset``, unpacked or as a zip file.
        split: ``'train'`` or ``'test'``.
        subset: Name of the part of the dataset, as published. Default
            ``'images_background_small2'``: 5 alphabets with 156 characters, i.e. 2184
            training and 936 test images.
        drawers: Drawers to use, 1 to 20, instead of those of the split, for example to
            hold out a part of the training set. Default: all drawers of the split.
        pipeline: Transforms; they receive ``img``, (105, 105, 3), and ``gt_label``.
        **kwargs: Arguments of :class:`mmengine.dataset.BaseDataset`.

    Raises:
        UserError: for an invalid split or drawer, or if the subset is missing.

    Reference:
        Lake et al., Human-level concept learning through probabilistic program
        induction, Science 2015; https://github.com/brendenlake/omniglot.

    Example:
        >>> dataset = Omniglot('data/omniglot', split='test')  # doctest: +SKIP
        >>> dataset[0]['gt_label'], dataset.metainfo['classes'][0]  # doctest: +SKIP
        (0, 'Greek/character01')
    """

    METAINFO = dict(dataset_type='omniglot')

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        subset: str = 'images_background_small2',
        drawers: Sequence[int] | None = None,
        pipeline: Sequence = (),
        **kwargs: Any,
    ) -> None:
        if split not in DRAWERS:
            raise UserError(f"split must be 'train' or 'test', but is '{split}'")
        self.drawers = set(DRAWERS[split] if drawers is None else drawers)
        if not self.drawers or not self.drawers <= set(range(1, 21)):
            raise UserError(f'drawers must be among 1 to 20, but is {drawers}')
        self.subset = subset
        super().__init__(data_root=data_root, pipeline=list(pipeline), **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the images of the split and set the class names."""
        folder = Path(self.data_root, self.subset)
        archive = folder.with_name(f'{self.subset}.zip')
        if archive.is_file():
            with zipfile.ZipFile(archive) as file:
                names = [name for name in file.namelist() if name.endswith('.png')]
                images = {name.partition('/')[2]: file.read(name) for name in names}
        elif folder.is_dir():
            files = folder.glob('*/*/*.png')
            images = {f.relative_to(folder).as_posix(): f.read_bytes() for f in files}
        else:
            raise UserError(
                f"data_root: '{self.data_root}' has neither {self.subset}/ nor "
                f'{self.subset}.zip; see data/README.md for the expected layout'
            )
        classes = sorted({name.rpartition('/')[0] for name in images})
        self._metainfo['classes'] = tuple(classes)
        label_of = {name: label for label, name in enumerate(classes)}
        return [
            dict(
                img=imfrombytes(images[name]),
                gt_label=label_of[name.rpartition('/')[0]],
            )
            for name in sorted(images)
            if _drawer(name) in self.drawers
        ]


def _drawer(name: str) -> int:
    """Return the drawer of an image, 1 to 20; 7 for 0394_07.png."""
    return int(Path(name).stem.rpartition('_')[2])
