"""Comparison of an exported network with mmseg's own inference."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmseg.structures import SegDataSample
from torch import nn

from mmkd.errors import UserError

if TYPE_CHECKING:  # package of an optional extra
    from onnxruntime import InferenceSession

SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff')


def measure_parity(
    session: 'InferenceSession',
    network: nn.Module,
    images: Sequence[Path],
    size: tuple[int, int],
) -> tuple[float, float]:
    """Compare an exported network, in batches of two images, with mmseg.

    Args:
        session: Session with the outputs ``labels`` and ``logits``.
        network: The segmentor as built by mmseg.
        images: Image files.
        size: Height and width to which they are resized.

    Returns:
        The share of pixels with the same label, and the largest difference in a logit.
    """
    equal, difference = [], 0.0
    for start in range(0, len(images), 2):
        batch = np.stack([_read(path, size) for path in images[start : start + 2]])
        labels, logits = session.run(['labels', 'logits'], {'images': batch[..., ::-1]})
        for image, label, logit in zip(batch, labels, logits, strict=True):
            expected = _segment(network, image)
            equal.append((label == expected.pred_sem_seg.data[0].numpy()).mean())
            gap = np.abs(logit - expected.seg_logits.data.numpy()).max()
            difference = max(difference, float(gap))
    return float(np.mean(equal)), difference


@torch.no_grad()
def _segment(network: BaseModel, image: np.ndarray) -> SegDataSample:
    """Run mmseg's inference on a BGR image."""
    size = image.shape[:2]
    meta = dict(img_shape=size, pad_shape=size, ori_shape=size)
    inputs = torch.from_numpy(image.transpose(2, 0, 1).copy())
    samples = [SegDataSample(metainfo=meta)]
    (result,) = network.test_step(dict(inputs=[inputs], data_samples=samples))
    return result


def _read(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Read a BGR image and resize it."""
    try:
        image = mmcv.imread(str(path))
    except Exception:  # mmcv's backends raise various types
        image = None
    if image is None:
        raise UserError(
            f"--images: '{path}' is not a readable image; remove it, or give others"
        )
    return mmcv.imresize(image, size[::-1])


def find_images(given: Sequence[Path], limit: int) -> list[Path]:
    """Return evenly spaced images among given files and files in given folders.

    Args:
        given: Files and folders.
        limit: Largest number of images.

    Raises:
        UserError: if a path does not exist, or there are no images.
    """
    found = []
    for path in given:
        if not path.exists():
            raise UserError(
                f"--images: '{path}' does not exist; give images or folders of images"
            )
        inside = sorted(path.rglob('*')) if path.is_dir() else [path]
        found += [file for file in inside if file.suffix.lower() in SUFFIXES]
    if not found:
        raise UserError(
            f"--images: '{given[0]}' contains no image; give images or folders of "
            'images'
        )
    number = min(limit, len(found))
    return [found[index * len(found) // number] for index in range(number)]


def images_folder(config: Config) -> Path:
    """Return the folder of a config's test images, which may not exist."""
    dataset = (config.get('test_dataloader') or {}).get('dataset') or {}
    prefix = dataset.get('data_prefix') or {}
    return Path(dataset.get('data_root') or '', prefix.get('img_path') or '')


def image_size(config: Config) -> tuple[int, int]:
    """Return the height and width to which a config's test images are resized.

    Raises:
        UserError: if the test pipeline has no fixed size.
    """
    dataset = (config.get('test_dataloader') or {}).get('dataset') or {}
    pipeline = config.get('test_pipeline') or dataset.get('pipeline') or []
    scales = [step.get('scale') for step in pipeline if step.get('type') == 'Resize']
    if not scales or not isinstance(scales[0], tuple | list):
        raise UserError(
            'test_pipeline: it does not resize to a fixed scale; give the height and '
            'width with --size'
        )
    width, height = scales[0]
    return height, width
