"""Matching of a teacher's classes with the dataset's, by name and by config."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from mmkd.errors import UserError

from .class_map import ClassMap

SHOWN = 20  # names in a hint


def match_classes(
    ours: Sequence[str],
    theirs: Sequence[str],
    counts: tuple[int, int],
    config: Mapping | None = None,
    key: str = 'teacher.class_map',
) -> tuple[ClassMap, str]:
    """Match a teacher's outputs with the classes of the dataset.

    Names are equal if they differ only in case, spaces, underscores and hyphens.
    Without names on either side, equal numbers of classes have the same order.

    Args:
        ours: Names of the dataset's classes; may be empty or fewer than the outputs.
        theirs: Names of the teacher's classes; may be empty or fewer.
        counts: Number of outputs of student and teacher.
        config: ``teacher.class_map``: for a class of the dataset, the teacher's class,
            a list of them, or None to leave it out, each by name or index. Classes that
            it does not contain are matched by name.
        key: Its config key, with which error messages start.

    Returns:
        The map, and a line to log; '' if the classes and their order are the same.

    Raises:
        UserError: for classes that are unknown, used twice or not matched.
    """
    dataset, teacher = _Side(ours, counts[0]), _Side(theirs, counts[1])
    try:
        return _match(dataset, teacher, config)
    except UserError as error:
        raise UserError(f'{key}: {error}') from error


def _match(
    dataset: '_Side', teacher: '_Side', config: Mapping | None
) -> tuple[ClassMap, str]:
    if 1 in (dataset.count, teacher.count):
        _check_one_channel(dataset, teacher, config)
        return ClassMap((), 0), ''
    given = _read(config or {}, dataset, teacher)
    groups = [
        given[index] if index in given else _automatic(index, dataset, teacher)
        for index in range(dataset.count)
    ]
    _check_covered(groups, dataset, teacher)
    _check_unique(groups, dataset, teacher)
    class_map = ClassMap(tuple(group or () for group in groups), teacher.count)
    if len(class_map.kept) < 2:
        raise UserError(
            f'it leaves {len(class_map.kept)} of the {dataset.count} classes to '
            'compare; map at least 2'
        )
    return class_map, _describe(class_map, dataset, teacher)


def plain(name: str) -> str:
    """Return a class name in lowercase, without spaces, underscores and hyphens.

    Example:
        >>> plain('Traffic light') == plain('traffic_light')
        True
    """
    return re.sub(r'[\s_-]', '', name).lower()


class _Side:
    """Classes of the dataset or of the teacher: some names, and the number of outputs.

    Attributes:
        index: Index of the first class with each plain name.
    """

    def __init__(self, names: Sequence[str], count: int) -> None:
        self.count = count
        # On one line, since checkpoints may contain anything.
        self.names = [' '.join(str(name).split()) for name in names]
        self.plain = [plain(name) for name in self.names]
        self.index: dict[str, int] = {}
        for index, name in enumerate(self.plain[:count]):
            self.index.setdefault(name, index)

    def knows(self, name: object) -> bool:
        return isinstance(name, str) and plain(name) in self.index

    def name(self, index: int) -> str:
        known = index < len(self.names)
        return repr(self.names[index][:60]) if known else str(index)

    def list(self, indices: Sequence[int]) -> str:
        return ', '.join(map(self.name, indices))


def _automatic(index: int, dataset: _Side, teacher: _Side) -> tuple[int, ...] | None:
    """Return the teacher's output of a class that the config does not name, if any."""
    if not dataset.names or not teacher.names:
        return (index,) if dataset.count == teacher.count else None
    if index >= len(dataset.names):  # an output of the student that no label has
        return (index,) if len(teacher.names) <= index < teacher.count else ()
    name = dataset.plain[index]
    known = index < min(len(teacher.plain), teacher.count)
    if known and teacher.plain[index] == name:
        return (index,)  # the same position first, as names may occur twice
    return (teacher.index[name],) if name in teacher.index else None


def _read(
    config: Mapping, dataset: _Side, teacher: _Side
) -> dict[int, tuple[int, ...]]:
    """Return the teacher's outputs of each class in ``teacher.class_map``."""
    given: dict[int, tuple[int, ...]] = {}
    for key, value in config.items():
        values = list(value) if isinstance(value, list | tuple) else [value]
        if value is None:
            values = []
        elif not values:
            raise UserError(
                f'{key!r} has an empty list; write None to leave the class out'
            )
        right = dataset.knows(key) and all(map(teacher.knows, values))
        if not right and teacher.knows(key) and any(map(dataset.knows, values)):
            raise UserError(
                f'{key!r} is a class of the teacher and {values[0]!r} the '
                f"dataset's; write {{{values[0]!r}: {key!r}}}, the dataset's first"
            )
        index = _find(key, dataset, 'the dataset')
        if index in given:
            raise UserError(f'{dataset.name(index)} is given twice')
        outputs = [_find(each, teacher, 'the teacher') for each in values]
        given[index] = tuple(dict.fromkeys(outputs))
    return given


def _find(name: object, side: _Side, what: str) -> int:
    """Return the index of a class given by name or index."""
    if isinstance(name, str) and side.knows(name):
        return side.index[plain(name)]
    if isinstance(name, str) and name.isdecimal():  # as --cfg-options writes it
        name = int(name)
    if isinstance(name, bool) or not isinstance(name, int | str):
        raise UserError(
            f"{name!r} is no class; write {{our class: the teacher's, a list of "
            'them, or None}, each by name or index'
        )
    if isinstance(name, int):
        if 0 <= name < side.count:
            return name
        raise UserError(f'{what} has no class {name}, only 0 to {side.count - 1}')
    if not side.names:
        raise UserError(
            f'{name!r} cannot be found, as the names of the classes of {what} '
            f'are not known; give its index, 0 to {side.count - 1}'
        )
    close = get_close_matches(plain(name), side.index, n=3, cutoff=0.0)
    hint = ' or '.join(side.name(side.index[each]) for each in close)
    raise UserError(f'{what} has no class {name!r}; did you mean {hint}?')


def _check_one_channel(dataset: _Side, teacher: _Side, config: Mapping | None) -> None:
    """Check that an output of one channel, for two classes, needs no map."""
    two = {dataset.count, teacher.count} <= {1, 2}
    named = dataset.names and teacher.names
    same = dataset.plain == teacher.plain or not named
    if not two or not same or config:
        raise UserError(
            f'an output of one channel, with a sigmoid, cannot be mapped: the '
            f'student has {dataset.count} channels for {dataset.names} and the teacher '
            f'{teacher.count} for {teacher.names}; use a teacher of the same two '
            'classes in the same order, without class_map'
        )


def _check_covered(groups: list, dataset: _Side, teacher: _Side) -> None:
    absent = [index for index, group in enumerate(groups) if group is None]
    if not absent:
        return
    why = f'no class of the teacher has these names: {dataset.list(absent)}'
    if not dataset.names or not teacher.names:
        side = 'teacher' if dataset.names else 'dataset'
        why = (
            f'the teacher outputs {teacher.count} classes and the student '
            f"{dataset.count}, and the names of the {side}'s are not known, so that "
            f'these are not matched: {dataset.list(absent)}'
        )
    used = {output for group in groups if group for output in group}
    free = [index for index in range(teacher.count) if index not in used]
    more = f' and {len(free) - SHOWN} more' if len(free) > SHOWN else ''
    raise UserError(
        f"{why}; write class_map={{{dataset.name(absent[0])}: the teacher's "
        'class, a list of its classes, or None to leave the class out of the '
        f'comparison, ...}}; unused classes of the teacher: '
        f'{teacher.list(free[:SHOWN]) or "none"}{more}'
    )


def _check_unique(groups: list, dataset: _Side, teacher: _Side) -> None:
    users: dict[int, int] = {}
    for index, group in enumerate(groups):
        for output in group:
            first = users.setdefault(output, index)
            if first != index:
                raise UserError(
                    f"the teacher's {teacher.name(output)} is used for "
                    f'{dataset.name(first)} and {dataset.name(index)}; use it once, '
                    'and give the other class another one, or None'
                )


def _describe(class_map: ClassMap, dataset: _Side, teacher: _Side) -> str:
    """Describe a class map in one line; '' if it changes nothing."""
    if class_map.identity:
        return ''
    pairs = [
        f'{dataset.name(index)} <- {" + ".join(map(teacher.name, group))}'
        for index, group in enumerate(class_map.groups)
        if group
    ]
    absent = [index for index, group in enumerate(class_map.groups) if not group]
    return (
        f"Classes (the dataset's <- the teacher's): {', '.join(pairs)}; left out: "
        f'{dataset.list(absent) or "none"}; unused outputs of the teacher: '
        f'{teacher.list(class_map.unused) or "none"}'
    )
