"""Predictions with the logits of both networks, for metrics that compare them."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mmkd.evaluation.class_logits import class_logits
from mmkd.functional.mask_logits import log_scores

from .taps import TapOutputs, record

if TYPE_CHECKING:
    from .distiller import Distiller


def predict_both(distiller: 'Distiller', inputs: Tensor, data_samples: list) -> list:
    """Return the student's predictions with ``student_logits`` and ``teacher_logits``.

    The logits of a segmentor are its ``seg_logits``, (C, H, W) at the size of the
    label; those of a classifier are (C,), from the taps of the first distillation loss.
    They stay on their device. One channel of a segmentor becomes two classes. The
    teacher's are over the dataset's classes; see :meth:`ClassMap.spread`.

    Args:
        distiller: Distiller with a teacher.
        inputs: Images preprocessed for the student.
        data_samples: Samples with labels.
    """
    loss = distiller.losses[0]
    # The student runs last, as each network overwrites the predictions in the samples.
    with record(distiller.teacher.model, [loss.teacher_tap]) as taps:
        samples = distiller.teacher.predict(inputs, data_samples)
    if not distiller.teacher.plain:
        taps.of_masks.clear()  # the predictions are logits
    theirs = _logits(samples, taps, loss.teacher_tap)
    class_map = distiller.teacher.class_map
    if class_map is not None and 'seg_logits' not in samples[0]:
        theirs = list(class_map.spread(torch.stack(theirs)))
    with record(distiller.student, [loss.student_tap]) as taps:
        samples = distiller.student(inputs, data_samples, mode='predict')
    ours = _logits(samples, taps, loss.student_tap)
    for sample, student, teacher in zip(samples, ours, theirs, strict=True):
        sample.set_field(student, 'student_logits')
        sample.set_field(teacher, 'teacher_logits')
    return samples


def _logits(samples: list, taps: TapOutputs, tap: str) -> list[Tensor]:
    """Return the logits of each image: ``seg_logits``, or a classifier's tap.

    The ``seg_logits`` of a mask classifier are scores, whose logits are their log.
    """
    if 'seg_logits' in samples[0]:
        logits = [class_logits(sample) for sample in samples]
        if tap in taps.of_masks:
            return [log_scores(scores, dim=0) for scores in logits]
        return logits
    return list(taps[tap])
