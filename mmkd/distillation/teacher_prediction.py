"""Predictions of a teacher, in the dataset's classes."""

from typing import Any, cast

from mmengine.structures import BaseDataElement
from torch import Tensor
from torch.nn.functional import interpolate

from .class_map import ClassMap
from .resolution import Resolution, naming_resolution
from .tap_output import logits_of


def predict_classes(
    model: Any,
    images: Tensor,
    data_samples: list | None,
    resolution: Resolution,
    class_map: ClassMap | None,
) -> list[BaseDataElement]:
    """Return the predictions of a network at its resolution, in the dataset's classes.

    The ``seg_logits`` of a mask classifier are scores if nothing is changed, and logits
    otherwise.

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
    with naming_resolution(model, resized, resolution.key):
        if not hasattr(model, 'encode_decode'):
            if class_map is None:
                return model(resized, data_samples, mode='predict')
            output = logits_of(model(resized, mode='tensor'))
            scores = class_map.spread(cast(Tensor, output)).softmax(1)
            return _label(scores, data_samples)
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


def _label(scores: Tensor, data_samples: list | None) -> list[BaseDataElement]:
    """Set the scores and labels of images, as mmpretrain's heads do."""
    from mmpretrain.structures import DataSample

    samples = data_samples or [DataSample() for _ in scores]
    for sample, score in zip(samples, scores, strict=True):
        sample.set_pred_score(score).set_pred_label(score.argmax())
    return samples
