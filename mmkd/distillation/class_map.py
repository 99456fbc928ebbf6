"""Map from a teacher's outputs to the classes of the dataset."""

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from mmkd.functional.classes import (
    Group,
    merge_classes,
    renumber,
    select_classes,
    spread_classes,
)


@dataclass(frozen=True)
class ClassMap:
    """Map from a teacher's outputs to the classes of the dataset.

    The probability of a class is the sum of those of its outputs. Classes without
    outputs are left out of both distributions, and labels of them are ignored.

    Args:
        groups: The teacher's outputs of each class of the dataset.
        outputs: Number of the teacher's outputs.

    Example:
        >>> class_map = ClassMap(groups=((2,), (), (0, 1)), outputs=4)
        >>> class_map.kept, class_map.unused
        ((0, 2), (3,))
    """

    groups: tuple[Group, ...]
    outputs: int

    @cached_property
    def kept(self) -> Group:
        """Classes of the dataset that have outputs of the teacher."""
        return tuple(index for index, group in enumerate(self.groups) if group)

    @cached_property
    def unused(self) -> Group:
        """Outputs of the teacher that no class has."""
        used = {output for group in self.groups for output in group}
        return tuple(output for output in range(self.outputs) if output not in used)

    @cached_property
    def identity(self) -> bool:
        """True if both networks have the same classes in the same order."""
        return self.groups == tuple((output,) for output in range(self.outputs))

    @property
    def complete(self) -> bool:
        """True if no class of the dataset is left out."""
        return len(self.kept) == len(self.groups)

    @property
    def counts(self) -> tuple[int, int]:
        """Numbers of outputs of student and teacher."""
        return len(self.groups), self.outputs

    def applies(self, student: Tensor, teacher: Tensor) -> bool:
        """Return True for outputs over the classes of both if they must be mapped."""
        counts = student.shape[1], teacher.shape[1]
        return not self.identity and counts == self.counts

    def merge(self, teacher: Tensor) -> Tensor:
        """Map a teacher's logits (N, T, ...) to those of the kept classes."""
        return merge_classes(teacher, [self.groups[index] for index in self.kept])

    def spread(self, teacher: Tensor) -> Tensor:
        """Map a teacher's logits to all classes; those left out are never predicted."""
        return spread_classes(self.merge(teacher), self.kept, len(self.groups))

    def align(
        self,
        student: Tensor,
        teacher: Tensor,
        target: Tensor | None,
        ignore_index: int | None,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return logits of both networks over the kept classes, and their target.

        Args:
            student: Logits (N, C, ...).
            teacher: Logits (N, T, ...).
            target: Labels (N, ...), or (N, C) if they are soft.
            ignore_index: Label of ignored pixels; None without a target. Vectors have
                none: samples of a class that is left out are removed.
        """
        teacher = self.merge(teacher)
        if self.complete:
            return student, teacher, target
        student = select_classes(student, self.kept)
        if target is None:
            return student, teacher, None
        if target.is_floating_point():
            return student, teacher, select_classes(target, self.kept)
        vectors = student.ndim == 2
        if vectors or ignore_index is None:
            ignore_index = -1  # 255 may be a class of vectors
        target = renumber(target, self.kept, len(self.groups), ignore_index)
        if vectors:
            known = target != ignore_index
            student, teacher, target = student[known], teacher[known], target[known]
        return student, teacher, target
