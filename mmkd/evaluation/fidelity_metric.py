"""Fidelity metric: similarity of the predictions of student and teacher."""

from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from torch import Tensor

from mmkd.errors import UserError
from mmkd.functional.classes import included_classes, renumber, select_classes
from mmkd.registry import METRICS

from .fidelity_sums import MEANS, fidelity_sums


@METRICS.register_module()
class FidelityMetric(BaseMetric):
    r"""Comparison of the student's logits s with the teacher's t at each validation.

    With p = softmax(t), q = softmax(s), and means over all positions (valid pixels or
    images) of the dataset:

    * ``agreement``: share of positions with argmax s = argmax t.
    * ``forward_kl``: Kullback-Leibler (KL) divergence
      :math:`\sum_c p_c \log (p_c / q_c)`.
    * ``reverse_kl``: :math:`\sum_c q_c \log (q_c / p_c)`.
    * ``rank_correlation``: Spearman's rank correlation over the classes, with average
      ranks for ties. Logit standardization (LSKD) aims to transfer these ranks.
      Positions with constant s or t are excluded.
    * ``small_probability_error``: :math:`|\log q_c - \log p_c|` over the pairs of
      position and class with :math:`p_c <` ``threshold``. Balance divergence
      distillation (BDD) aims to reduce it. Logarithms, since the difference between
      1e-4 and 1e-8 is negligible.
    * ``std_ratio``: std(s) / std(t) over the classes, close to 1 for a student that
      copies the range of the teacher's logits, on which standardized losses do not
      depend. Positions with constant t are excluded.
    * ``ece``, ``teacher_ece``: expected calibration error of student and teacher with
      respect to the labels, :math:`\sum_b \frac{n_b}{n} |acc_b - conf_b|`, with the
      number :math:`n_b`, accuracy and mean confidence of the positions in each of
      ``bins`` equally wide bins of confidence, and n their total (Guo et al., 2017).

    All values are at temperature 1; the mean of an empty set is NaN. Maps are compared
    like mIoU: at the size of the label, as predicted by mmseg, and not at the taps.
    Vectors are the outputs of the taps of the first distillation loss.

    Sums are computed in float64 on the device of the logits, and only a small array per
    image is collected. The result is therefore independent of the number of processes,
    and images that a sampler repeats to fill the last batch are not counted twice. The
    cost is a forward pass of the teacher for each validation image.

    Classes that ``teacher.class_map`` leaves out are removed from both distributions,
    and positions labeled with them are invalid.

    Without a teacher, as in ``tools/test.py``, the metric logs this and is empty.

    Args:
        ignore_index: Label of invalid pixels; maps only. Default 255.
        threshold: Probability below which a class counts as small for the teacher.
            Default 1e-3.
        bins: Number of bins of the calibration errors. Default 15, as published.
        stride: Use only every ``stride``-th row and column of a map, which takes
            1/stride^2 of the time. Default 1.
        chunk: Number of logits of a map to compare at a time. Default 2^22, which take
            32 MiB in float64.
        **kwargs: Arguments of MMEngine's ``BaseMetric``; ``prefix`` is ``'fidelity'``.

    Raises:
        UserError: for an argument out of range, or mismatched logits.

    Example:
        In a config:

        >>> val_evaluator = [
        ...     dict(type='IoUMetric', iou_metrics=['mIoU']),
        ...     dict(type='mmkd.FidelityMetric'),
        ... ]

        In Python:

        >>> metric = FidelityMetric()
        >>> logits = torch.tensor([1.0, 4.0, 3.0, 2.0])
        >>> sample = dict(student_logits=logits / 2, teacher_logits=logits)
        >>> metric.process(None, [dict(sample, gt_label=torch.tensor([1]))])
        >>> found = metric.evaluate(size=1)
        >>> found['fidelity/rank_correlation'], found['fidelity/std_ratio']
        (1.0, 0.5)

    Reference:
        Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 2.
    """

    default_prefix = 'fidelity'

    def __init__(
        self,
        ignore_index: int = 255,
        threshold: float = 1e-3,
        bins: int = 15,
        stride: int = 1,
        chunk: int = 2**22,
        **kwargs: object,
    ) -> None:
        if not 0 < threshold <= 1:
            raise UserError(
                f'FidelityMetric.threshold: {threshold} is not a probability above 0'
            )
        for name, value in dict(bins=bins, stride=stride).items():
            if not isinstance(value, int) or value < 1:
                raise UserError(
                    f'FidelityMetric.{name}: must be an integer >= 1, but is {value!r}'
                )
        super().__init__(**kwargs)
        self.ignore_index = ignore_index
        self.threshold = threshold
        self.bins = bins
        self.stride = stride
        self.chunk = chunk

    def process(self, data_batch: object, data_samples: Sequence[Mapping]) -> None:
        """Append the sums of each image, or None without a teacher."""
        if any('teacher_logits' not in sample for sample in data_samples):
            self.results.extend([None] * len(data_samples))
            return
        students, teachers = (
            [sample[f'{network}_logits'] for sample in data_samples]
            for network in ('student', 'teacher')
        )
        for student, teacher in zip(students, teachers, strict=True):
            if student.shape != teacher.shape or len(student) < 2:
                raise UserError(
                    'FidelityMetric: both networks need logits of the same shape with '
                    f"at least 2 classes, but the student's are {tuple(student.shape)} "
                    f"and the teacher's {tuple(teacher.shape)}; use networks with the "
                    'same classes'
                )
        if students[0].ndim == 1:  # each image is a group of one position
            labels = torch.stack([sample['gt_label'] for sample in data_samples])
            student, teacher, labels = _common(
                torch.stack(students), torch.stack(teachers), labels, ignore_index=-1
            )
            sums = self._sums(student[:, None], teacher[:, None], labels)
            sums = torch.where((labels != -1).to(sums.device), sums, 0)
        else:
            maps = [sample['gt_sem_seg']['data'] for sample in data_samples]
            images = zip(students, teachers, maps, strict=True)
            sums = torch.cat([self._sums_of_map(*image) for image in images])
        self.results.extend(sums.cpu().numpy())

    def _sums(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        target = target.to(student.device)
        return fidelity_sums(student, teacher, target, self.threshold, self.bins)

    def _sums_of_map(self, student: Tensor, teacher: Tensor, label: Tensor) -> Tensor:
        """Return the sums (1, K) over one image's valid pixels, computed in chunks."""
        sampled = ..., slice(None, None, self.stride), slice(None, None, self.stride)
        student, teacher, label = (x[sampled] for x in (student, teacher, label))
        student, teacher, label = _common(
            student[None], teacher[None], label, self.ignore_index
        )
        student, teacher = student[0], teacher[0]
        label = label.flatten().to(student.device)
        mask = label != self.ignore_index
        wrong = label[mask & ((label < 0) | (label >= len(student)))]
        if wrong.numel():
            raise UserError(
                f'FidelityMetric.ignore_index: label {int(wrong[0])} is not one of the '
                f'{len(student)} classes, and ignore_index is {self.ignore_index}; set '
                'it to that of the IoUMetric'
            )
        rows = [logits.flatten(1)[:, mask].T for logits in (student, teacher)]
        size = max(1, self.chunk // len(student))
        chunks = (x[None].split(size, 1) for x in (*rows, label[mask]))
        sums = (self._sums(*chunk) for chunk in zip(*chunks, strict=True))
        return reduce(torch.add, sums)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the metrics from the sums of all images, in dataset order."""
        if any(sums is None for sums in results):
            print_log(
                'FidelityMetric: skipped, as there is no teacher to compare with; it '
                'is measured in the validations of tools/train.py',
                logger='current',
            )
            return {}
        total = np.sum(results, axis=0)
        sums, counts, gaps = np.split(total, [len(MEANS), 2 * len(MEANS)])
        with np.errstate(invalid='ignore'):
            means = sums / counts
            errors = np.abs(gaps.reshape(2, self.bins)).sum(1) / counts[0]
        names = (*MEANS, 'ece', 'teacher_ece')
        values = np.concatenate([means, errors]).tolist()
        return dict(zip(names, values, strict=True))


def _common(
    student: Tensor, teacher: Tensor, target: Tensor, ignore_index: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Remove the classes that the teacher's map leaves out from logits and labels."""
    classes = included_classes(teacher)
    total = teacher.shape[1]
    if len(classes) == total:
        return student, teacher, target
    student, teacher = (select_classes(x, classes) for x in (student, teacher))
    return student, teacher, renumber(target, classes, total, ignore_index)
