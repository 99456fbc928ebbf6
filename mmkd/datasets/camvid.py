"""CamVid in the layout of the SegNet tutorial."""

import os.path as osp
from collections.abc import Sequence
from typing import Any

from mmengine import fileio
from mmseg.datasets import BaseSegDataset

from mmkd.errors import UserError
from mmkd.registry import DATASETS

VOID = 11


@DATASETS.register_module()
class CamVidDataset(BaseSegDataset):
    """CamVid: frames of 480x360 pixels with 11 classes.

    Labels are PNG files with values 0 to 10; 11 is void and is mapped to 255, which
    losses and metrics ignore. Images may be PNG (as published) or JPEG, also mixed. See
    ``data/README.md`` for the folder layout.

    Args:
        img_suffix (str or Sequence[str]): Suffixes of images. If two images differ only
            in suffix, the suffix listed first is used.
        seg_map_suffix (str): Suffix of the label files.
        every (int): Use only the images 0, ``every``, 2 ``every`` and so on of the
            list. Default 1: all.
        others (bool): Use the images that ``every`` leaves out instead. Default False.
        **kwargs: Arguments of :class:`mmseg.datasets.BaseSegDataset`. The lines of an
            ``ann_file`` are names without suffix, relative to ``img_path``.

    Example:
        >>> dataset = CamVidDataset(
        ...     metainfo=dict(classes=('road', 'car')), lazy_init=True)
        >>> [dataset.label_map[label] for label in (3, 8, 9, 11)]
        [0, 1, 255, 255]
    """

    METAINFO = dict(
        classes=(
            'sky', 'building', 'pole', 'road', 'pavement', 'tree', 'sign symbol',
            'fence', 'car', 'pedestrian', 'bicyclist',
        ),
        palette=[
            [128, 128, 128], [128, 0, 0], [192, 192, 128], [128, 64, 128],
            [60, 40, 222], [128, 128, 0], [192, 128, 128], [64, 64, 128],
            [64, 0, 128], [64, 64, 0], [0, 128, 192],
        ],
    )  # fmt: skip

    def __init__(
        self,
        img_suffix: str | Sequence[str] = ('.png', '.jpg'),
        seg_map_suffix: str = '.png',
        every: int = 1,
        others: bool = False,
        **kwargs: Any,
    ) -> None:
        if isinstance(img_suffix, str):
            img_suffix = (img_suffix,)
        if every < 1 or (others and every == 1):
            raise UserError(
                f'CamVidDataset.every: {every} with others={others} leaves no image; '
                'set it to 2 or more'
            )
        self.every, self.others = every, others
        super().__init__(
            img_suffix=tuple(img_suffix), seg_map_suffix=seg_map_suffix, **kwargs
        )

    @classmethod
    def get_label_map(cls, new_classes: Sequence | None = None) -> dict[int, int]:
        """Return the base class's map for a subset of classes, plus void to 255."""
        return {**(super().get_label_map(new_classes) or {}), VOID: 255}

    def load_data_list(self) -> list[dict]:
        """List the images of ``ann_file``, or all images sorted by name.

        Only those that ``every`` and ``others`` choose are listed.
        """
        img_dir = self.data_prefix['img_path']
        ann_dir = self.data_prefix.get('seg_map_path')
        images = self._find_images(img_dir)
        if self.ann_file and not osp.isdir(self.ann_file):
            names = self._read_ann_file(images)
        else:
            names = sorted(images)
        names = [n for i, n in enumerate(names) if bool(i % self.every) == self.others]

        data_list = []
        for name in names:
            data_info = dict(
                img_path=osp.join(img_dir, images[name]),
                label_map=self.label_map,
                reduce_zero_label=self.reduce_zero_label,
                seg_fields=[],
            )
            if ann_dir is not None:
                data_info['seg_map_path'] = osp.join(
                    ann_dir, name + self.seg_map_suffix
                )
            data_list.append(data_info)
        return data_list

    def _find_images(self, img_dir: str) -> dict[str, str]:
        """Map the name of each image without suffix to its file in ``img_dir``."""
        images: dict[str, str] = {}
        if fileio.isdir(img_dir, backend_args=self.backend_args):
            files = list(
                fileio.list_dir_or_file(
                    img_dir,
                    list_dir=False,
                    suffix=self.img_suffix,
                    recursive=True,
                    backend_args=self.backend_args,
                )
            )
            for suffix in self.img_suffix:
                for file in files:
                    if file.endswith(suffix):
                        images.setdefault(file.removesuffix(suffix), file)
        if not images:
            raise UserError(
                f"no image ({', '.join(self.img_suffix)}) in '{img_dir}': "
                'see data/README.md for the layout of CamVid'
            )
        return images

    def _read_ann_file(self, images: dict[str, str]) -> list[str]:
        lines = fileio.list_from_file(self.ann_file, backend_args=self.backend_args)
        names = [line.strip() for line in lines if line.strip()]
        missing = [name for name in names if name not in images]
        if missing:
            raise UserError(
                f"{len(missing)} of {len(names)} images of '{self.ann_file}' are not "
                f"in '{self.data_prefix['img_path']}', the first being {missing[0]!r}; "
                'each line must be a name without suffix'
            )
        return names
