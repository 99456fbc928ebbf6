"""Whether an exported network is the one that mmseg runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmseg.structures import SegDataSample
from torch import nn

from mmkd.errors import UserError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff')
ENOUGH = 0.999  # the share of labels that must be mmseg's


@dataclass
class Agreement:
    """How near two networks are.

    Args:
        images: How many were seen.
        size: Their height and width.
        equal: Share of the pixels with the same label.
        difference: The largest difference of a logit.
    """

    images: int
    size: tuple[int, int]
    equal: float
    difference: float

    def __str__(self) -> str:
        height, width = self.size
        return (
            f'{self.images} images of {height}x{width}: {100 * self.equal:.4f} % of '
            f"the labels are mmseg's; largest difference of a logit "
            f'{self.difference:.2g}'
        )

    def check(self) -> None:
        """Raises a UserError if less than 99.9 % of the labels are equal."""
        if self.equal < ENOUGH:
            raise UserError(
                f'--out: not written, since less than {ENOUGH:.1%} of the labels are '
                "mmseg's; does another --opset, or --size without --dynamic, help?"
            )


def compare(
    session: 'InferenceSession',
    network: nn.Module,
    images: Sequence[Path],
    size: tuple[int, int],
) -> Agreement:
    """Runs images through an exported network, two at a time, and through mmseg.

    Args:
        session: Gives labels and logits of RGB images.
        network: The segmentor as mmseg builds it.
        images: Files.
        size: Height and width to bring them to.
    """
    equal, difference = [], 0.0
    for start in range(0, len(images), 2):
        batch = np.stack([_read(path, size) for path in images[start : start + 2]])
        labels, logits = session.run(['labels', 'logits'], {'images': batch[..., ::-1]})
        for image, label, logit in zip(batch, labels, logits, strict=True):
            expected = _segment(network, image)
            theirs = expected.pred_sem_seg.data[0].numpy()
            equal.append(float((label == theirs).mean()))
            gap = np.abs(logit - expected.seg_logits.data.numpy()).max()
            difference = max(difference, float(gap))
    return Agreement(len(images), size, float(np.mean(equal)), difference)


@torch.no_grad()
def _segment(network: nn.Module, image: np.ndarray) -> SegDataSample:
    """mmseg's own inference on a BGR image, from the pixels to the labels."""
    size = image.shape[:2]
    meta = dict(img_shape=size, pad_shape=size, ori_shape=size)
    inputs = torch.from_numpy(image.transpose(2, 0, 1).copy())
    samples = [SegDataSample(metainfo=meta)]
    (result,) = network.test_step(dict(inputs=[inputs], data_samples=samples))
    return result


def _read(path: Path, size: tuple[int, int]) -> np.ndarray:
    """A BGR image of a size."""
    try:
        image = mmcv.imread(str(path))
    except Exception:  # of any of its backends
        image = None
    if image is None:
        raise UserError(f"--images: '{path}' is no image")
    return mmcv.imresize(image, size[::-1])


def find_images(given: Sequence[Path], limit: int) -> list[Path]:
    """The images to compare on: files, and those in folders, spread evenly.

    Args:
        given: Files and folders.
        limit: The most that are taken.

    Raises:
        UserError: if there are none.
    """
    found = []
    for path in given:
        inside = sorted(path.rglob('*')) if path.is_dir() else [path]
        found += [file for file in inside if file.suffix.lower() in SUFFIXES]
    missing = [path for path in given if not path.exists()]
    if missing or not found:
        what = f"'{(missing or list(given) or ['nothing'])[0]}'"
        state = 'does not exist' if missing else 'holds no image'
        raise UserError(
            f'--images: {what} {state}; name some images, or a folder of them'
        )
    number = min(limit, len(found))
    return [found[index * len(found) // number] for index in range(number)]


def images_folder(config: Config) -> Path:
    """The folder that a config tests on, whether it is there or not."""
    dataset = (config.get('test_dataloader') or {}).get('dataset') or {}
    prefix = dataset.get('data_prefix') or {}
    return Path(dataset.get('data_root') or '', prefix.get('img_path') or '')


def image_size(config: Config) -> tuple[int, int]:
    """Height and width of the images that a config tests on.

    Raises:
        UserError: if its pipeline does not say.
    """
    dataset = (config.get('test_dataloader') or {}).get('dataset') or {}
    pipeline = config.get('test_pipeline') or dataset.get('pipeline') or []
    scales = [step.get('scale') for step in pipeline if step.get('type') == 'Resize']
    if not scales or not isinstance(scales[0], tuple | list):
        raise UserError(
            'test_pipeline: it resizes to no fixed scale; give the height and width '
            'with --size'
        )
    width, height = scales[0]
    return height, width
