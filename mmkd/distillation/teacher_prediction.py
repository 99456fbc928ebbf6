"""Predictions of a teacher, in the dataset's classes."""

from typing import Any

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor
from torch.nn.functional import interpolate

from .class_map import ClassMap
from .resolution import Resolution, naming_resolution


def predict_classes(
    model: Any,
    images: Tensor,
    data_samples: list | None,
    resolution: Resolution,
    class_map: ClassMap | None,
) -> list[BaseDataElement]:
    """Return the predictions of a network at its resolution, in the dataset's classes.

    Args:
        model: Segmentor or classifier.
        images: Preprocessed for the network, but not resized.
        data_samples: Their samples.
        resolution: Resolution of the network.
        class_map: Map of its outputs; None if they are the dataset's classes.
    """
    if class_map is not None and class_map.identity:
        class_map = None
    resized = resolution.resize(images)
    with naming_resolution(model, resized):
        if not hasattr(model, 'encode_decode'):
            samples = model(resized, data_samples, mode='predict')
            return samples if class_map is None else _relabel(samples, class_map)
        if class_map is None and not resolution.changes:
            return model(images, data_samples, mode='predict')
        size = images.shape[2:]
        metas = [dict(ori_shape=size)] * len(images)
        if data_samples is not None:
            metas = [sample.metainfo for sample in data_samples]
        logits = resolution.logits(model, resized, metas)
    if class_map is not None:
        logits = class_map.spread(logits)
    logits = interpolate(
        logits, size, mode='bilinear', align_corners=model.align_corners
    )
    return model.postprocess_result(logits, data_samples)


def _relabel(samples: list, class_map: ClassMap) -> list:
    """Replace the scores and labels that a classifier predicted."""
    scores = torch.stack([sample.pred_score for sample in samples])
    logits = scores.clamp(min=torch.finfo(scores.dtype).tiny).log()
    for sample, score in zip(samples, class_map.spread(logits).softmax(1), strict=True):
        sample.set_pred_score(score).set_pred_label(score.argmax())
    return samples
