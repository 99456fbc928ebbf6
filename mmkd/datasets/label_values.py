"""Checks of the label that a pipeline returns."""

from collections.abc import Sequence

import numpy as np
import torch

from mmkd.errors import UserError


def values_of(label: torch.Tensor) -> list[int]:
    """Return the distinct values of a label.

    Example:
        >>> values_of(torch.tensor([[0, 255], [3, 3]]))
        [0, 3, 255]
    """
    flat = label.flatten()
    low, high = flat.aminmax() if len(flat) else (0, 0)
    if low < 0 or high > 255 or flat.is_floating_point():
        return flat.unique().tolist()
    # bincount takes a tenth of the time of unique, which sorts.
    return np.bincount(flat.numpy()).nonzero()[0].tolist()


def check_values(values: Sequence[int], classes: int, ignore_index: int) -> None:
    """Raise a UserError for a value that is neither a class nor ``ignore_index``."""
    wrong = [v for v in values if not 0 <= v < classes and v != ignore_index]
    if wrong:
        raise UserError(
            f'label value {wrong[-1]}, but num_classes is {classes}, and '
            f'{ignore_index} is ignored; if it marks pixels without a class, replace '
            f'it by {ignore_index} in the labels, or set ignore_index of heads, '
            f'metrics and distill_losses, and seg_pad_val, to {wrong[-1]}; otherwise '
            'set reduce_zero_label or metainfo of the dataset, or num_classes of the '
            'network'
        )


def check_shape(
    label: torch.Tensor, size: Sequence[int] | None, evaluated: bool, key: str
) -> None:
    """Raise a UserError unless a label has one value per pixel of its image.

    Args:
        label: Label returned by the pipeline, (1, H, W).
        size: Expected height and width; not checked if empty.
        evaluated: True if ``size`` is that of the image file, False if it is that of
            the image returned by the pipeline.
        key: Config key of the dataset.
    """
    if label.shape[:-2].numel() != 1:
        raise UserError(
            f'{key}.pipeline returns a label of shape {tuple(label.shape)} instead of '
            '(1, height, width): it must be one class index per pixel'
        )
    label_size = tuple(label.shape[-2:])
    if not size or label_size == tuple(size[:2]):
        return
    ours, theirs = (f'{width}x{height}' for height, width in (size[:2], label_size))
    what, where = (
        ('the file of its image', 'after Resize')
        if evaluated
        else ('its image', 'before Resize and other transforms that change the size')
    )
    raise UserError(
        f'{key}.pipeline returns a label of {theirs}, but {what} is {ours}; put '
        f'LoadAnnotations {where}'
    )
