"""Labels of a batch for segmentation and classification."""

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
