"""Teachers and taps that a loss names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from mmkd.errors import UserError

from .taps import find_tap
from .teacher import Teacher


@dataclass(frozen=True)
class TeacherTap:
    """Module of a teacher whose output is compared.

    Args:
        name: Name of the teacher; '' of a single teacher without a name.
        tap: Name of the module.
        teacher: The teacher.
    """

    name: str
    tap: str
    teacher: Teacher

    @property
    def full(self) -> str:
        """Name of the module with that of the teacher, if it has one."""
        return f'{self.name}.{self.tap}' if self.name else self.tap

    @property
    def model(self) -> nn.Module:
        """Network of the teacher."""
        return self.teacher.model


def find_teachers(
    given: str | Sequence[str] | None,
    default: str,
    teachers: Mapping[str, Teacher],
    key: str,
) -> list[TeacherTap]:
    """Return the taps of the teachers that a loss names.

    Of a single teacher without a name, ``given`` is a tap. Of teachers with names, it
    is ``'<teacher>'``, ``'<teacher>.<tap>'``, a list of these, or a tap of all teachers
    if its first component is not the name of a teacher.

    Args:
        given: Value in the config of the loss; None or '' for all teachers.
        default: Tap of a teacher for which none is given; '' for its logits.
        teachers: The teachers by name.
        key: Config key of ``given``, for error messages.

    Raises:
        UserError: for an unknown teacher or tap.
    """
    items = [given or ''] if given is None or isinstance(given, str) else given
    if not isinstance(items, list | tuple) or not items:
        raise UserError(
            f'{key}: it must be the name of a module, of a teacher or a list of '
            f'teachers, not {given!r}'
        )
    found = []
    for item in items:
        first, _, rest = str(item).partition('.')
        chosen = {first: rest}
        if first not in teachers or not first:
            if item is not given and given:
                names = ', '.join(filter(None, teachers)) or 'the only one has no name'
                raise UserError(
                    f"{key}: a list contains teachers, but '{first}' is none of them "
                    f'({names})'
                )
            chosen = dict.fromkeys(teachers, str(item))
        for name, tap in chosen.items():
            found.append(_find(name, tap or default, teachers, key))
    return found


def _find(name: str, tap: str, teachers: Mapping[str, Teacher], key: str) -> TeacherTap:
    teacher = teachers[name]
    try:
        tap = find_tap(teacher.model, tap or None, key, frozen=True)
    except UserError as error:
        if not name:
            raise
        raise UserError(
            f"{error} (of the teacher '{name}'; the teachers are {', '.join(teachers)})"
        ) from error
    return TeacherTap(name, tap, teacher)
