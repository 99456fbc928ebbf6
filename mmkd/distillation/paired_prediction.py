"""Predictions with the logits of both networks, for metrics that compare them."""

from typing import TYPE_CHECKING

from torch import Tensor

from .taps import record
from .teacher_prediction import sample_logits

if TYPE_CHECKING:
    from .distiller import Distiller


def predict_both(distiller: 'Distiller', inputs: Tensor, data_samples: list) -> list:
    """Return the student's predictions with ``student_logits`` and ``teacher_logits``.

    The logits of a segmentor are its ``seg_logits``, (C, H, W) at the size of the
    label; those of a classifier are (C,), from the taps of the first distillation loss.
    They stay on their device. One channel of a segmentor becomes two classes. The
    teacher's are over the dataset's classes; see :meth:`ClassMap.spread`. Of several
    teachers, they are those of the average of all.

    Args:
        distiller: Distiller with a teacher.
        inputs: Images preprocessed for the student.
        data_samples: Samples with labels.
    """
    loss = distiller.losses[0]
    # The student runs last, as each network overwrites the predictions in the samples.
    theirs = distiller.teacher.compared_logits(
        inputs, data_samples, loss.teacher_taps[0]
    )
    with record(distiller.student, [loss.student_tap]) as taps:
        samples = distiller.student(inputs, data_samples, mode='predict')
    ours = sample_logits(samples, taps, loss.student_tap)
    for sample, student, teacher in zip(samples, ours, theirs, strict=True):
        sample.set_field(student, 'student_logits')
        sample.set_field(teacher, 'teacher_logits')
    return samples
