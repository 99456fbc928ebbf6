"""Predictions of a teacher, in the dataset's classes."""

from typing import Any, cast

from mmengine.structures import BaseDataElement, PixelData
from torch import Tensor
from torch.nn.functional import interpolate

from mmkd.evaluation.class_logits import class_logits
from mmkd.functional.mask_logits import log_scores

from .class_map import ClassMap
from .resolution import Resolution, naming_resolution
from .tap_output import logits_of
from .taps import TapOutputs


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
    if _segments(model) and (class_map is not None or resolution.changes):
        return _segment(model, images, data_samples, resolution, class_map)
    if class_map is None:
        resized = resolution.resize(images)
        with naming_resolution(model, resized, resolution.key):
            return model(resized, data_samples, mode='predict')
    logits = class_map.spread(_classify(model, images, resolution))
    samples = data_samples or _new_samples(len(logits))
    for sample, each in zip(samples, logits, strict=True):
        set_prediction(sample, each)
    return samples


def predict_logits(
    model: Any, images: Tensor, data_samples: list | None, resolution: Resolution
) -> tuple[list[BaseDataElement], list[Tensor]]:
    """Return samples, and the logits of each image over the network's own classes.

    These are (T, H, W) at the size of the label, or (T,) of a classifier. One channel
    of a segmentor becomes two classes. See :func:`predict_classes` for the arguments.
    """
    if _segments(model):
        samples = _segment(model, images, data_samples, resolution, None)
        return samples, [class_logits(sample) for sample in samples]
    logits = _classify(model, images, resolution)
    return data_samples or _new_samples(len(logits)), list(logits)


def set_prediction(sample: Any, logits: Tensor) -> None:
    """Set the prediction of an image by its logits, (C, H, W) or (C,)."""
    if logits.ndim == 3:
        label = logits.argmax(0, keepdim=True)
        sample.set_data(
            dict(seg_logits=PixelData(data=logits), pred_sem_seg=PixelData(data=label))
        )
    else:  # as mmpretrain's heads do
        score = logits.softmax(0)
        sample.set_pred_score(score).set_pred_label(score.argmax())


def sample_logits(samples: list, taps: TapOutputs, tap: str) -> list[Tensor]:
    """Return the logits of each image: ``seg_logits``, or a classifier's tap.

    The ``seg_logits`` of a mask classifier are scores, whose logits are their log.
    """
    if 'seg_logits' in samples[0]:
        logits = [class_logits(sample) for sample in samples]
        if tap in taps.of_masks:
            return [log_scores(scores, dim=0) for scores in logits]
        return logits
    return list(taps[tap])


def _segments(model: Any) -> bool:
    return hasattr(model, 'encode_decode')


def _segment(
    model: Any,
    images: Tensor,
    data_samples: list | None,
    resolution: Resolution,
    class_map: ClassMap | None,
) -> list[BaseDataElement]:
    """Segment images by logits; without a class map, in the network's own classes."""
    size = images.shape[2:]
    metas = [dict(ori_shape=size)] * len(images)
    if data_samples is not None:
        metas = [sample.metainfo for sample in data_samples]
    resized = resolution.resize(images)
    with naming_resolution(model, resized, resolution.key):
        logits = resolution.logits(model, resized, metas)
    if class_map is not None:
        logits = class_map.spread(logits)
    logits = interpolate(
        logits, size, mode='bilinear', align_corners=model.align_corners
    )
    return model.postprocess_result(logits, data_samples)


def _classify(model: Any, images: Tensor, resolution: Resolution) -> Tensor:
    """Return the logits (N, T) of a classifier."""
    resized = resolution.resize(images)
    with naming_resolution(model, resized, resolution.key):
        return cast(Tensor, logits_of(model(resized, mode='tensor')))


def _new_samples(number: int) -> list[BaseDataElement]:
    from mmpretrain.structures import DataSample

    return [DataSample() for _ in range(number)]
