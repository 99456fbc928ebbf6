"""Logits over the classes in a segmentor's prediction."""

from mmengine.structures import BaseDataElement
from torch import Tensor

from mmkd.functional import bernoulli_logits

EPS = 1e-7  # float32 represents 1 - EPS


def class_logits(sample: BaseDataElement) -> Tensor:
    """Return the ``seg_logits`` of a prediction, (C, H, W) with C >= 2.

    Of a single channel, mmseg stores the sigmoid instead of the logit; the result is
    then (2, H, W).
    """
    logits = sample.seg_logits.data
    if len(logits) > 1:
        return logits
    return bernoulli_logits(logits.float().logit(EPS)[None])[0]
