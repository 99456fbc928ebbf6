"""Omniglot as a classification set: every character is a class."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

from mmcv import imfrombytes
from mmengine.dataset import BaseDataset

from mmkd.errors import UserError
from mmkd.registry import DATASETS

DRAWERS = {'train': range(1, 15), 'test': range(15, 21)}


@DATASETS.register_module()
class Omniglot(BaseDataset):
    """Hand-written characters, 105x105, each drawn once by the same 20 people.

    Who draws decides the split: drawers 1 to 14 train, 15 to 20 test. The images are
    read once and kept in memory, 3 x 11 kB each; black ink on white.

    Args:
        data_root: Folder that holds ``subset``, unpacked or as a zip.
        split: ``'train'`` or ``'test'``.
        subset: Name of the part of the data set, as published. Default
            ``'images_background_small2'``: 5 alphabets of 156 characters, so 2184
            training and 936 test images.
        drawers: Whose drawings, 1 to 20, whatever the split: to hold some of the
            training set out. Default: all of the split's.
        pipeline: Transforms; they get ``img``, (105, 105, 3), and ``gt_label``.
        **kwargs: As for :class:`mmengine.dataset.BaseDataset`.

    Raises:
        UserError: for another split or drawer, or a root without the subset.

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
        **kwargs: object,
    ) -> None:
        if split not in DRAWERS:
            raise UserError(f"split must be 'train' or 'test', but is '{split}'")
        self.drawers = set(DRAWERS[split] if drawers is None else drawers)
        if not self.drawers or not self.drawers <= set(range(1, 21)):
            raise UserError(f'drawers must be some of 1 to 20, but is {drawers}')
        self.subset = subset
        super().__init__(data_root=data_root, pipeline=list(pipeline), **kwargs)

    def load_data_list(self) -> list[dict]:
        """Reads the images of the split and names the classes."""
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
                f'{self.subset}.zip; see data/README.md on placing it'
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
    """Who drew the image, 1 to 20: of 0394_07.png, the seventh."""
    return int(Path(name).stem.rpartition('_')[2])
