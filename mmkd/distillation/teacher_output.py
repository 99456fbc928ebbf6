"""Output of the teachers that a loss compares."""

from collections.abc import Mapping, Sequence
from typing import get_args

from torch import Tensor

from mmkd.errors import UserError
from mmkd.functional.teachers import Mean

from .class_map import ClassMap
from .teacher import Teacher
from .teacher_choice import TeacherTap, find_teachers
from .teacher_mean import average_outputs, common_map


class TeacherOutput:
    """Output of a teacher, or the mean of the logits of several, for one loss.

    Args:
        key: Config key of the loss.
        given: Teachers and taps that its config names; see :func:`find_teachers`.
        mean: ``'probabilities'`` or ``'logits'``, the mean of several teachers; None
            for the former. See :func:`mmkd.functional.average_teachers`.

    Attributes:
        taps: Taps of the teachers, after :meth:`find`.

    Raises:
        UserError: for another ``mean``.
    """

    def __init__(
        self, key: str, given: str | Sequence[str] | None, mean: Mean | None
    ) -> None:
        self.key = key
        self.given = given
        self.mean = mean
        self.taps: list[TeacherTap] = []
        if mean not in (None, *get_args(Mean)):
            raise UserError(
                f"{key}.teacher_mean: must be 'probabilities' or 'logits', not {mean!r}"
            )

    def find(self, default: str, teachers: Mapping[str, Teacher]) -> None:
        """Find the taps in the teachers.

        Args:
            default: Tap of a teacher for which none is given; '' for its logits.
            teachers: The teachers by name.

        Raises:
            UserError: for an unknown teacher or tap, or a mean of one teacher.
        """
        self.taps = find_teachers(self.given, default, teachers, f'{self.key}.teacher')
        if self.mean and not self.several:
            raise UserError(
                f'{self.key}.teacher_mean: there is only one teacher to average; '
                'remove it, or give several teachers a name each'
            )

    @property
    def several(self) -> bool:
        """True if the output is a mean."""
        return len(self.taps) > 1

    @property
    def class_map(self) -> ClassMap:
        """Map of the output to the dataset's classes, once the teachers have theirs."""
        maps = [each.teacher.class_map for each in self.taps]
        known = [each for each in maps if each is not None]
        return common_map(known) if self.several else known[0]

    def output(
        self, outputs: Mapping[str, Tensor], sigmoid: bool, align_corners: bool
    ) -> Tensor:
        """Return the output that is compared.

        Args:
            outputs: Outputs of the teachers by full tap.
            sigmoid: Each channel is a Bernoulli distribution of its own.
            align_corners: Option of resizing maps to the largest of them.

        Raises:
            UserError: for outputs that have no mean.
        """
        found = [outputs[each.full] for each in self.taps]
        if not self.several:
            return found[0]
        maps = [each.teacher.class_map for each in self.taps]
        sigmoid = sigmoid or found[0].shape[1] == 1
        mean: Mean = self.mean or 'probabilities'
        try:
            return average_outputs(found, maps, mean, sigmoid, align_corners)
        except ValueError as error:
            raise UserError(f'{self.key}.teacher_mean: {error}') from error
