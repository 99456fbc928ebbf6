"""What networks make of the images of a data set."""

from collections.abc import Iterable, Iterator, Mapping

import mmcv
import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import nn
from torch.utils.data import Dataset

from mmkd.errors import UserError
from mmkd.functional import kl_divergence

from .row import Row


def panel_rows(
    networks: Mapping[str, nn.Module],
    dataset: Dataset,
    indices: Iterable[int],
    teacher: str = 'teacher',
) -> Iterator[Row]:
    """Has networks segment images of a data set, one after the other.

    Each network normalises the images as it was trained to. Images are shown as they
    are on disk, whatever the data set's pipeline makes of them.

    Args:
        networks: mmseg's segmentors by name, in eval mode, of the same classes.
        dataset: One of mmseg's, or around one, whose pipeline loads labels: see
            :func:`mmkd.datasets.build_dataset.build_dataset`.
        indices: Which of its images.
        teacher: Name of the network from which the others' KL is measured, at
            temperature 1; of none, if there is no network of that name. Default
            ``'teacher'``.

    Yields:
        The row of each image. Rows are made as they are asked for.

    Raises:
        UserError: for a sample without image file or label, or networks that do not
            fit to it or to each other.
    """
    for index in indices:
        yield _row(networks, dataset, index, teacher)


@torch.no_grad()
def _row(
    networks: Mapping[str, nn.Module], dataset: Dataset, index: int, teacher: str
) -> Row:
    path, sample = image_path(dataset, index), dataset[index]
    if 'gt_sem_seg' not in sample['data_samples']:
        raise UserError(
            f"'{path}': the pipeline loads no label; put dict(type='LoadAnnotations') "
            'into it, after Resize'
        )
    label = sample['data_samples'].gt_sem_seg.data[0].numpy()
    predictions, kl, reference = {}, {}, None
    for name in sorted(networks, key=lambda name: name != teacher):  # it goes first
        result = _segment(networks[name], sample)
        classes = result.pred_sem_seg.data[0].cpu().numpy().astype(np.int16)
        if classes.shape != label.shape:
            raise UserError(
                f"'{path}': the label is {label.shape}, but {name} gives "
                f'{classes.shape}; does the pipeline resize the label? Load it after '
                'Resize'
            )
        predictions[name], logits = classes, result.seg_logits.data
        if name == teacher:
            reference = logits
        elif reference is not None:
            kl[name] = _kl(logits, reference, name)
    image = mmcv.imread(path, channel_order='rgb')
    if image.shape[:2] != label.shape:
        image = mmcv.imresize(image, label.shape[::-1])
    ignore_index = getattr(dataset, 'ignore_index', 255)
    return Row(image, label, {n: predictions[n] for n in networks}, kl, ignore_index)


def _segment(network: nn.Module, sample: Mapping) -> BaseDataElement:
    """A network's own inference on a sample, which stays as it is."""
    samples = [sample['data_samples'].clone()]
    (result,) = network.test_step(dict(inputs=[sample['inputs']], data_samples=samples))
    return result


def _kl(student: torch.Tensor, teacher: torch.Tensor, name: str) -> np.ndarray:
    if student.shape != teacher.shape or len(student) < 2:
        raise UserError(
            f'KL: logits of the same 2 classes or more are wanted, but the teacher '
            f'gives {len(teacher)}, {name} {len(student)}'
        )
    return kl_divergence(student, teacher.to(student.device), dim=0).cpu().numpy()


def image_path(dataset: Dataset, index: int) -> str:
    """The file of an image of a data set.

    Raises:
        UserError: if the data set does not tell.
    """
    info = getattr(dataset, 'get_data_info', lambda index: {})(index)
    path = info.get('img_path')
    if not isinstance(path, str):
        raise UserError(
            'the data set tells no img_path, and its images are to be shown; take one '
            "of mmseg's, or have get_data_info() tell it"
        )
    return path


def spread(total: int, number: int) -> list[int]:
    """Indices at even distances through ``total`` images; all if these are fewer.

    Example:
        >>> spread(100, 4)
        [0, 25, 50, 75]
    """
    number = min(number, total)
    return [index * total // number for index in range(number)]
