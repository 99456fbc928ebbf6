"""Comparison of an exported network with mmseg's own inference."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmseg.structures import SegDataSample
from torch import nn

from mmkd.errors import UserError

if TYPE_CHECKING:  # of an extra
    from onnxruntime import InferenceSession

SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff')


def measure_parity(
    session: 'InferenceSession',
    network: nn.Module,
    images: Sequence[Path],
    size: tuple[int, int],
) -> tuple[float, float]:
    """Compare an exported network, on two images at a time, with mmseg.

    Args:
        session: Session with the outputs ``labels`` and ``logits``.
        network: The segmentor as mmseg builds it.
        images: Image files.
        size: Height and width to resize them to.

    Returns:
        The share of pixels with the same label, and the largest difference of a logit.
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
def _segment(network: nn.Module, image: np.ndarray) -> SegDataSample:
    """Run mmseg's own inference on a BGR image."""
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
    except Exception:  # of any of its backends
        image = None
    if image is None:
        raise UserError(f"--images: '{path}' is not an image")
    return mmcv.imresize(image, size[::-1])


def find_images(given: Sequence[Path], limit: int) -> list[Path]:
    """Find the images to compare on: files, and those in folders, evenly spaced.

    Args:
        given: Files and folders.
        limit: The largest number of images.

    Raises:
        UserError: if there are none.
    """
    found = []
    for path in given:
        if not path.exists():
            raise UserError(
                f"--images: '{path}' does not exist; name images or folders"
            )
        inside = sorted(path.rglob('*')) if path.is_dir() else [path]
        found += [file for file in inside if file.suffix.lower() in SUFFIXES]
    if not found:
        raise UserError(
            f"--images: '{given[0]}' holds no image; name images or folders of them"
        )
    number = min(limit, len(found))
    return [found[index * len(found) // number] for index in range(number)]


def images_folder(config: Config) -> Path:
    """Return the folder of a config's test images; it may not exist."""
    dataset = (config.get('test_dataloader') or {}).get('dataset') or {}
    prefix = dataset.get('data_prefix') or {}
    return Path(dataset.get('data_root') or '', prefix.get('img_path') or '')


def image_size(config: Config) -> tuple[int, int]:
    """Return height and width that a config's test images are resized to.

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
