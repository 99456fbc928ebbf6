"""Predictions that carry both networks' logits, for metrics that compare them."""

from collections.abc import Mapping

from torch import Tensor, nn

from .taps import record


def predict_both(distiller: nn.Module, inputs: Tensor, data_samples: list) -> list:
    """The student's predictions, with ``student_logits`` and ``teacher_logits``.

    Of a segmentor they are (C, H, W) at the label's size, its ``seg_logits``; of a
    classifier (C,), from the taps of the first distillation loss. Both stay on their
    device.

    Args:
        distiller: A Distiller with a teacher.
        inputs: Images preprocessed for the student.
        data_samples: Of each image, with its label.
    """
    term = distiller.terms[0]
    # The teacher goes first: either network writes its predictions into the samples.
    with record(distiller.teacher.model, [term.teacher_tap]) as taps:
        samples = distiller.teacher_predict(inputs, data_samples)
    theirs = _logits(samples, taps, term.teacher_tap)
    with record(distiller.student, [term.student_tap]) as taps:
        samples = distiller.student(inputs, data_samples, mode='predict')
    ours = _logits(samples, taps, term.student_tap)
    for sample, student, teacher in zip(samples, ours, theirs, strict=True):
        sample.set_field(student, 'student_logits')
        sample.set_field(teacher, 'teacher_logits')
    return samples


def _logits(samples: list, taps: Mapping[str, Tensor], tap: str) -> list[Tensor]:
    """Those of each image: of a segmentor as predicted, of a classifier the tap's."""
    if 'seg_logits' in samples[0]:
        return [sample.seg_logits.data for sample in samples]
    return list(taps[tap])
