"""The one place that knows where a task keeps its labels."""

import torch
from torch import Tensor


def stack_targets(data_samples: list) -> Tensor | None:
    """The labels of a batch: (N, H, W) of segmentors, (N,) of classifiers.

    Soft ones of classifiers, (N, C), where Mixup or the like has made some. None where
    the samples have no labels.
    """
    if all('gt_sem_seg' in sample for sample in data_samples):
        return torch.cat([sample.gt_sem_seg.data for sample in data_samples])
    if all('gt_score' in sample for sample in data_samples):
        return torch.stack([sample.gt_score for sample in data_samples])
    if all('gt_label' in sample for sample in data_samples):
        return torch.cat([sample.gt_label for sample in data_samples])
    return None
