"""What a panel shows of each image, one column each."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from .row import Row

# The names and RGB colours of the numbers 0, 1, ... of a map.
Key = tuple[tuple[str, tuple[int, int, int]], ...]
BLANK = -1  # the number of a pixel without one: it stays white

GREY, DARK = (222, 222, 222), (70, 70, 80)
RIGHT = (('right', GREY), ('wrong', DARK))
SAME = (('same class', GREY), ('another class', (178, 34, 120)))
# Which of two networks is right at a pixel, as :func:`compare` numbers it.
VERDICTS = (
    ('both right', GREY),
    ('only {second} right', (31, 158, 92)),
    ('only {first} right', (230, 113, 36)),
    ('both wrong', DARK),
)


@dataclass(frozen=True)
class Column:
    """One column of a panel.

    Args:
        title: What stands above it.
        tile: What it shows of a row. With a ``key`` (H, W) numbers of its entries, any
            other being blank. Without one (H, W, 3), an RGB picture of 8 bits, or
            (H, W), values from 0 on for a heat map, NaN being blank.
        key: Names and colours of the numbers. Columns of one key share a legend.
        whole_key: Whether the legend has all entries, or those that appear. Default
            True.
        unit: What stands below a heat map's colour bar.
    """

    title: str
    tile: Callable[[Row], np.ndarray]
    key: Key | None = None
    whole_key: bool = True
    unit: str = ''


def comparison(
    meta: Mapping, student: str, teacher: str | None = None, alone: str | None = None
) -> list[Column]:
    """All there is to see of a distilled student.

    Image, label, the networks' predictions, where student and teacher agree, where the
    student is right, and KL(teacher || student); what needs a network that is not named
    is left out.

    Args:
        meta: ``classes`` and ``palette``: a data set's ``metainfo``.
        student: Name of the distilled student among a row's predictions.
        teacher: Of its teacher.
        alone: Of the student trained alone, whose errors stand against the other's.

    Example:
        >>> meta = dict(classes=['road', 'sky'], palette=[(0, 0, 0), (9, 9, 9)])
        >>> [column.title for column in comparison(meta, 'student', 'teacher')]
        ['image', 'label', 'teacher', 'student', 'agreement', 'error', 'KL divergence']
    """
    columns = maps(meta, filter(None, (teacher, alone, student)))
    if teacher:
        columns.append(agreement(student, teacher))
    columns.append(error(student, alone))
    if teacher:
        columns.append(divergence(student, teacher))
    return columns


def maps(meta: Mapping, networks: Iterable[str]) -> list[Column]:
    """The image, its label and networks' predictions, in the classes' colours.

    Args:
        meta: ``classes`` and ``palette``: a data set's ``metainfo``.
        networks: Their names among a row's predictions.
    """
    colours = (tuple(colour) for colour in meta['palette'])
    key = tuple(zip(meta['classes'], colours, strict=True))
    label = Column('label', lambda row: _counted(row, row.label), key, whole_key=False)
    predictions = [
        Column(name, lambda row, name=name: row.predictions[name], key, whole_key=False)
        for name in networks
    ]
    return [Column('image', lambda row: row.image), label, *predictions]


def agreement(first: str, second: str) -> Column:
    """Where two networks give the same class."""

    def tile(row: Row) -> np.ndarray:
        return _counted(row, row.predictions[first] != row.predictions[second])

    return Column('agreement', tile, SAME)


def error(network: str, against: str | None = None) -> Column:
    """Where a network is right; with another one, which of the two is."""

    def alone(row: Row) -> np.ndarray:
        return _counted(row, row.predictions[network] != row.label)

    def both(row: Row) -> np.ndarray:
        pair = row.predictions[against], row.predictions[network]
        return _counted(row, compare(row.label, *pair))

    if against is None:
        return Column('error', alone, RIGHT)
    names = dict(first=against, second=network)
    key = tuple((text.format(**names), colour) for text, colour in VERDICTS)
    return Column('error', both, key)


def divergence(student: str, teacher: str = 'teacher') -> Column:
    """KL(teacher || student) of each pixel, as a heat map."""

    def tile(row: Row) -> np.ndarray:
        return np.where(row.counted, row.kl[student], np.nan)

    return Column('KL divergence', tile, unit=f'KL({teacher} || {student}), nats')


def compare(label: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Which of two predictions is right: 0 both, 1 the second, 2 the first, 3 none."""
    return 2 * (second != label) + (first != label)


def colour(numbers: np.ndarray, key: Key) -> np.ndarray:
    """Paints numbers in their colours; those without an entry white.

    Args:
        numbers: (H, W), whole.
        key: Their names and colours.

    Returns:
        (H, W, 3), RGB, 8 bits.
    """
    table = np.array([*(rgb for _, rgb in key), (255, 255, 255)], np.uint8)
    inside = (numbers >= 0) & (numbers < len(key))
    return table[np.where(inside, numbers, len(key))]


def _counted(row: Row, numbers: np.ndarray) -> np.ndarray:
    return np.where(row.counted, numbers.astype(int), BLANK)
