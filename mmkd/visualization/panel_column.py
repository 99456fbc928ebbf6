"""Columns of a panel, such as image, label, predictions and errors."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from .panel_row import PanelRow

# Names and RGB colors of the numbers 0, 1, ... of a map.
Entry = tuple[str, tuple[int, int, int]]
Legend = tuple[Entry, ...]
BLANK = -1  # number of pixels that stay white

GRAY, DARK = (222, 222, 222), (70, 70, 80)
RIGHT_OR_WRONG = (('right', GRAY), ('wrong', DARK))
SAME_OR_OTHER = (('same class', GRAY), ('another class', (178, 34, 120)))
# Numbered as 2 * (second is wrong) + (first is wrong).
ERRORS_OF_TWO = (
    ('both right', GRAY),
    ('only {second} right', (31, 158, 92)),
    ('only {first} right', (230, 113, 36)),
    ('both wrong', DARK),
)


@dataclass(frozen=True)
class PanelColumn:
    """Column of a panel.

    Args:
        title: Text above the column.
        tile: Function of a row. With a ``legend`` it returns (H, W), indices of legend
            entries, where other numbers are blank. Without a legend it returns
            (H, W, 3), an 8-bit RGB image, or (H, W), the values >= 0 of a heat map,
            where NaN is blank.
        legend: Names and colors of the entries; columns with equal legends share one.
        full_legend: Show all entries of the legend, not only those that occur. Default
            True.
        unit: Text below the color bar of a heat map.
    """

    title: str
    tile: Callable[[PanelRow], np.ndarray]
    legend: Legend | None = None
    full_legend: bool = True
    unit: str = ''


def panel_columns(
    meta: Mapping, student: str, teacher: str | None = None, baseline: str | None = None
) -> list[PanelColumn]:
    """Return the columns that show a distilled student.

    Image, label, predictions, agreement of student and teacher, errors of the student,
    and the Kullback-Leibler (KL) divergence KL(teacher || student). Columns of networks
    that are not named are omitted.

    Args:
        meta: A dataset's ``metainfo`` with ``classes`` and ``palette``.
        student: Name of the distilled student among a row's predictions.
        teacher: Name of its teacher.
        baseline: Name of the student trained without a teacher, whose errors are
            compared with those of the distilled student.

    Example:
        >>> meta = dict(classes=['road', 'sky'], palette=[(0, 0, 0), (9, 9, 9)])
        >>> [column.title for column in panel_columns(meta, 'student', 'teacher')]
        ['image', 'label', 'teacher', 'student', 'agreement', 'error', 'KL divergence']
    """
    columns = class_columns(meta, filter(None, (teacher, baseline, student)))
    if teacher:
        columns.append(agreement_column(student, teacher))
    columns.append(error_column(student, baseline))
    if teacher:
        columns.append(kl_column(student, teacher))
    return columns


def class_columns(meta: Mapping, networks: Iterable[str]) -> list[PanelColumn]:
    """Return the columns of the image, its label and the networks' predictions.

    Args:
        meta: A dataset's ``metainfo`` with ``classes`` and ``palette``.
        networks: Names of the networks among a row's predictions.
    """
    legend = tuple(zip(meta['classes'], map(tuple, meta['palette']), strict=True))

    def prediction(name: str) -> Callable[[PanelRow], np.ndarray]:
        return lambda row: row.predictions[name]

    tiles = {'label': lambda row: _masked(row, row.label)}
    tiles |= {name: prediction(name) for name in networks}
    maps = [PanelColumn(name, tile, legend, False) for name, tile in tiles.items()]
    return [PanelColumn('image', lambda row: row.image), *maps]


def agreement_column(first: str, second: str) -> PanelColumn:
    """Return the column of pixels for which two networks predict the same class."""

    def tile(row: PanelRow) -> np.ndarray:
        return _masked(row, row.predictions[first] != row.predictions[second])

    return PanelColumn('agreement', tile, SAME_OR_OTHER)


def error_column(network: str, against: str | None = None) -> PanelColumn:
    """Return the column of a network's errors, or of those of two networks."""

    def tile(row: PanelRow) -> np.ndarray:
        wrong = (row.predictions[network] != row.label).astype(int)
        if against is not None:
            wrong = 2 * wrong + (row.predictions[against] != row.label)
        return _masked(row, wrong)

    if against is None:
        return PanelColumn('error', tile, RIGHT_OR_WRONG)
    names = dict(first=against, second=network)
    legend = tuple((text.format(**names), color) for text, color in ERRORS_OF_TWO)
    return PanelColumn('error', tile, legend)


def kl_column(student: str, teacher: str = 'teacher') -> PanelColumn:
    """Return the column of KL(teacher || student) of each pixel, a heat map."""

    def tile(row: PanelRow) -> np.ndarray:
        return np.where(row.mask, row.kl[student], np.nan)

    return PanelColumn('KL divergence', tile, unit=f'KL({teacher} || {student}), nats')


def _masked(row: PanelRow, numbers: np.ndarray) -> np.ndarray:
    return np.where(row.mask, numbers.astype(int), BLANK)
