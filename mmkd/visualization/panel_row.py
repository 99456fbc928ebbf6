"""Rows of a panel: an image with its label and the predictions of networks."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import mmcv
import numpy as np
import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import nn
from torch.utils.data import Dataset

from mmkd.errors import UserError
from mmkd.evaluation.class_logits import class_logits
from mmkd.functional import kl_divergence
from mmkd.functional.classes import included_classes, select_classes


@dataclass(frozen=True)
class PanelRow:
    """Image of a panel with its label and the predictions of networks.

    Args:
        image: (H, W, 3), 8-bit RGB.
        label: (H, W), class of each pixel.
        predictions: (H, W), predicted classes by network name.
        kl: (H, W), Kullback-Leibler (KL) divergence KL(teacher || network) in nats, by
            network name. Default: empty.
        ignore_index: Label of ignored pixels. Default 255.

    Example:
        >>> label = np.array([[0, 1], [1, 255]])
        >>> image = np.zeros((2, 2, 3), np.uint8)
        >>> row = PanelRow(image, label, dict(small=label * 0, large=label))
        >>> round(row.accuracy('small'), 4), row.accuracy('large')
        (0.3333, 1.0)
    """

    image: np.ndarray
    label: np.ndarray
    predictions: Mapping[str, np.ndarray]
    kl: Mapping[str, np.ndarray] = field(default_factory=dict)
    ignore_index: int = 255

    @property
    def mask(self) -> np.ndarray:
        """(H, W), True for valid pixels."""
        return self.label != self.ignore_index

    def accuracy(self, network: str) -> float:
        """Return the share of correctly predicted valid pixels; NaN without any."""
        return self._mean(self.predictions[network] == self.label)

    def agreement(self, first: str, second: str) -> float:
        """Return the share of valid pixels for which two networks agree."""
        return self._mean(self.predictions[first] == self.predictions[second])

    def mean_kl(self, network: str) -> float:
        """Return the mean of KL(teacher || network) over valid pixels, in nats."""
        return self._mean(self.kl[network])

    def _mean(self, values: np.ndarray) -> float:
        valid = values[self.mask]
        return float(valid.mean(dtype=float)) if valid.size else float('nan')


def panel_rows(
    networks: Mapping[str, nn.Module],
    dataset: Dataset,
    indices: Iterable[int],
    teacher: str = 'teacher',
) -> Iterator[PanelRow]:
    """Segment images of a dataset with several networks.

    Each network uses its own normalization. Images are shown as on disk, independent of
    the dataset's pipeline.

    Args:
        networks: mmseg segmentors or a :class:`Teacher` by name, in eval mode, with the
            same classes.
        dataset: mmseg dataset, possibly wrapped, whose pipeline loads labels; see
            :func:`mmkd.datasets.build_dataset.build_dataset`.
        indices: Indices of the images.
        teacher: Name of the network that is the reference of KL(teacher || network) at
            temperature 1; without this network, KL is not computed. Default
            ``'teacher'``.

    Yields:
        The row of each image, computed lazily.

    Raises:
        UserError: for a sample without image file or label, or for predictions of
            mismatched size or number of classes.
    """
    for index in indices:
        yield _row(networks, dataset, index, teacher)


@torch.no_grad()
def _row(
    networks: Mapping[str, nn.Module], dataset: Dataset, index: int, teacher: str
) -> PanelRow:
    path, sample = image_path(dataset, index), dataset[index]
    if 'gt_sem_seg' not in sample['data_samples']:
        raise UserError(
            f"'{path}': the pipeline loads no label; add dict(type='LoadAnnotations') "
            'to it, after Resize'
        )
    label = sample['data_samples'].gt_sem_seg.data[0].numpy()
    predictions, logits, kl = {}, {}, {}
    for name, network in networks.items():
        result = _segment(network, sample)
        classes = result.pred_sem_seg.data[0].cpu().numpy().astype(np.int16)
        if classes.shape != label.shape:
            raise UserError(
                f"'{path}': the label is {label.shape}, but {name}'s prediction "
                f'{classes.shape}; does the pipeline resize the label? Load it after '
                'Resize'
            )
        predictions[name] = classes
        logits[name] = class_logits(result)
    if (reference := logits.pop(teacher, None)) is not None:
        kl = {name: _kl(each, reference, name) for name, each in logits.items()}
    image = mmcv.imread(path, channel_order='rgb')
    if image.shape[:2] != label.shape:
        image = mmcv.imresize(image, label.shape[::-1])
    ignore_index = getattr(dataset, 'ignore_index', 255)
    return PanelRow(image, label, predictions, kl, ignore_index)


def _segment(network: BaseModel, sample: Mapping) -> BaseDataElement:
    """Return the prediction for a sample without modifying the sample."""
    samples = [sample['data_samples'].clone()]
    (result,) = network.test_step(dict(inputs=[sample['inputs']], data_samples=samples))
    return result


def _kl(student: torch.Tensor, teacher: torch.Tensor, name: str) -> np.ndarray:
    if student.shape != teacher.shape:
        raise UserError(
            f'KL: both networks need the same classes, but the teacher has '
            f'{len(teacher)} and {name} {len(student)}; use networks with the same '
            'classes'
        )
    teacher = teacher.to(student.device)
    classes = included_classes(teacher[None])
    student, teacher = (select_classes(x[None], classes) for x in (student, teacher))
    return kl_divergence(student, teacher)[0].cpu().numpy()


def image_path(dataset: Dataset, index: int) -> str:
    """Return the path of an image of a dataset.

    Raises:
        UserError: if the dataset does not provide the path.
    """
    info: Mapping = getattr(dataset, 'get_data_info', lambda index: {})(index)
    path = info.get('img_path')
    if not isinstance(path, str):
        raise UserError(
            "the dataset's get_data_info() has no img_path, which is needed to show "
            'its images; use an mmseg dataset, or add the key'
        )
    return path


def evenly_spaced(total: int, number: int) -> list[int]:
    """Return ``number`` evenly spaced indices of ``total`` images; all if fewer.

    Example:
        >>> evenly_spaced(100, 4)
        [0, 25, 50, 75]
    """
    number = min(number, total)
    return [index * total // number for index in range(number)]
