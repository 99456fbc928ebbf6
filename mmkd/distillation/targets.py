"""Labels and images of a batch for segmentation and classification."""

import torch
from torch import Tensor


def stack_targets(data_samples: list) -> Tensor | None:
    """Return the labels of a batch; None if the samples have no labels.

    Segmentation labels are (N, H, W), classification labels (N,), or (N, C) if they are
    soft, as with Mixup. Lists of several labels per image are not returned.
    """
    if all('gt_sem_seg' in sample for sample in data_samples):
        return torch.cat([sample.gt_sem_seg.data for sample in data_samples])
    if all('gt_score' in sample for sample in data_samples):
        return torch.stack([sample.gt_score for sample in data_samples])
    if all('gt_label' in sample for sample in data_samples):
        labels = [sample.gt_label for sample in data_samples]
        return torch.cat(labels) if all(len(x) == 1 for x in labels) else None
    return None


def inside_images(inputs: Tensor, data_samples: list) -> Tensor:
    """Mark the pixels of a batch that belong to an image, not to its padding.

    Args:
        inputs: (N, C, H, W), images after mmseg's preprocessor, which pads them.
        data_samples: Their samples.

    Returns:
        Boolean (N, H, W).
    """
    inside = inputs.new_ones(inputs[:, 0].shape, dtype=torch.bool)
    height, width = inside.shape[1:]
    for image, sample in zip(inside, data_samples, strict=True):
        left, right, top, bottom = sample.metainfo.get('padding_size', (0, 0, 0, 0))
        image[:top] = image[height - bottom :] = False
        image[:, :left] = image[:, width - right :] = False
    return inside
