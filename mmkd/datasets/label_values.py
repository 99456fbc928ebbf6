"""Check of what a pipeline has made of a label."""

from collections.abc import Sequence

import numpy as np
import torch

from mmkd.errors import UserError


def values_of(label: torch.Tensor) -> list[int]:
    """Return the different values of a label.

    Example:
        >>> values_of(torch.tensor([[0, 255], [3, 3]]))
        [0, 3, 255]
    """
    flat = label.flatten()
    low, high = flat.aminmax() if len(flat) else (0, 0)
    if low < 0 or high > 255 or flat.is_floating_point():
        return flat.unique().tolist()
    # Counting takes a tenth of the time of sorting.
    return np.bincount(flat.numpy()).nonzero()[0].tolist()


def check_values(values: Sequence[int], classes: int, ignore_index: int) -> None:
    """Raise a UserError for a value that is neither a class nor ignored."""
    wrong = [v for v in values if not 0 <= v < classes and v != ignore_index]
    if wrong:
        raise UserError(
            f'label value {wrong[-1]}, but num_classes is {classes}, and '
            f'{ignore_index} is ignored; if it marks pixels without a class, rewrite '
            f'it to {ignore_index} in the labels; or does the dataset need '
            'reduce_zero_label or another metainfo, or the network more classes?'
        )


def check_shape(
    label: torch.Tensor, size: Sequence[int] | None, evaluated: bool, key: str
) -> None:
    """Raise a UserError unless a label is one value per pixel of its image.

    Args:
        label: What the pipeline returns, (1, H, W).
        size: Height and width that it must have; not checked if empty.
        evaluated: They are those of the image's file, else the pipeline's image.
        key: The dataset's config key.
    """
    if label.shape[:-2].numel() != 1:
        raise UserError(
            f'{key}.pipeline returns a label of shape {tuple(label.shape)} instead of '
            '(1, height, width): it must be one class index per pixel'
        )
    theirs = tuple(label.shape[-2:])
    if not size or theirs == tuple(size[:2]):
        return
    ours, theirs = (f'{width}x{height}' for height, width in (size[:2], theirs))
    what, where = (
        ('the file of its image', 'behind Resize')
        if evaluated
        else ('its image', 'before Resize and all that changes the size')
    )
    raise UserError(
        f'{key}.pipeline returns a label of {theirs}, but {what} is {ours}; put '
        f'LoadAnnotations {where}'
    )
