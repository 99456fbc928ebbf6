"""Predictions with both networks' logits, for metrics that compare them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from .taps import record

if TYPE_CHECKING:
    from .distiller import Distiller


def predict_both(distiller: 'Distiller', inputs: Tensor, data_samples: list) -> list:
    """Return the student's predictions with ``student_logits`` and ``teacher_logits``.

    A segmentor's are (C, H, W) at the label's size, its ``seg_logits``; a
    classifier's (C,), from the taps of the first distillation loss. Both stay on their
    device.

    Args:
        distiller: A Distiller with a teacher.
        inputs: Images preprocessed for the student.
        data_samples: Samples with their labels.
    """
    loss = distiller.losses[0]
    # The teacher first: both networks write their predictions into the samples.
    with record(distiller.teacher.model, [loss.teacher_tap]) as taps:
        samples = distiller.teacher.predict(inputs, data_samples)
    theirs = _logits(samples, taps, loss.teacher_tap)
    with record(distiller.student, [loss.student_tap]) as taps:
        samples = distiller.student(inputs, data_samples, mode='predict')
    ours = _logits(samples, taps, loss.student_tap)
    for sample, student, teacher in zip(samples, ours, theirs, strict=True):
        sample.set_field(student, 'student_logits')
        sample.set_field(teacher, 'teacher_logits')
    return samples


def _logits(samples: list, taps: Mapping[str, Tensor], tap: str) -> list[Tensor]:
    """Return each image's logits: a segmentor's as predicted, a classifier's tap."""
    if 'seg_logits' in samples[0]:
        return [sample.seg_logits.data for sample in samples]
    return list(taps[tap])
