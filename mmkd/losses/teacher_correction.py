"""Correction of a teacher by the labels, as a part of a loss."""

import torch
from torch import Tensor, nn

from mmkd.functional import correct_teacher, masked_mean
from mmkd.functional.teacher_correction import Mode, check_correction
from mmkd.registry import MODELS

from .build_part import build_part


@MODELS.register_module()
class TeacherCorrection(nn.Module):
    """:func:`mmkd.functional.correct_teacher` as a module.

    Args:
        mode, threshold, tau: See :func:`mmkd.functional.correct_teacher`. Default
            ``'mix'``, 0.2 and 1.

    Attributes:
        share: Share of the valid positions that the last call corrected.

    Raises:
        ValueError: for an argument out of range.

    Example:
        >>> correction = TeacherCorrection('swap')
        >>> correction(torch.eye(3), torch.tensor([1, 1, 2]))
        tensor([[0., 1., 0.],
                [0., 1., 0.],
                [0., 0., 1.]])
        >>> correction.share
        tensor(0.3333)
    """

    def __init__(
        self, mode: Mode = 'mix', threshold: float = 0.2, tau: float = 1.0
    ) -> None:
        super().__init__()
        check_correction(mode, threshold, tau)
        self.mode = mode
        self.threshold = threshold
        self.tau = tau
        self.share = torch.zeros(())

    def forward(
        self, teacher: Tensor, target: Tensor | None, mask: Tensor | None = None
    ) -> Tensor:
        """Return the corrected logits; those given without a target.

        Args:
            teacher: (N, C) or (N, C, H, W).
            target: Class indices, (N,) or (N, H, W); negative where unknown. None: all
                are unknown.
            mask: Boolean, valid positions. Default: all.

        Raises:
            ValueError: for soft labels.
        """
        if target is None:
            self.share = teacher.new_zeros(())
            return teacher
        if target.is_floating_point():
            raise ValueError(
                'teacher_correction needs the class of each sample, but got soft '
                'labels (Mixup or CutMix?); use hard labels, or remove '
                'teacher_correction'
            )
        teacher, corrected = correct_teacher(
            teacher, target, self.mode, self.threshold, self.tau, mask
        )
        self.share = masked_mean(corrected.to(teacher.dtype), mask)
        return teacher

    def extra_repr(self) -> str:
        """Format the arguments for ``print``."""
        return f'mode={self.mode!r}, threshold={self.threshold}, tau={self.tau}'


def build_correction(
    correction: dict | str | TeacherCorrection | None,
) -> TeacherCorrection | None:
    """Build a correction from its config or name; return None without one."""
    if correction is None:
        return None
    kind = TeacherCorrection
    return build_part('teacher_correction', correction, kind, kind.__name__)
