"""What the colours of a panel mean."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from .columns import Column, Key

SIZE = 12  # points
LINE, PATCH, CHARACTER = 0.25, 0.5, 0.093  # inches that they take, at that size


@dataclass(frozen=True)
class Legend:
    """Names and colours, below the columns that have them.

    Args:
        first: The first of those columns.
        entries: Names and colours.
        width: Of the space below those columns, in inches.
    """

    first: int
    entries: Key
    width: float

    @property
    def names(self) -> list[str]:
        """The names, in lines that fit."""
        room = int((self.width - PATCH) / CHARACTER)
        return [fill(name, room) for name, _ in self.entries]

    @property
    def ncols(self) -> int:
        """How many entries stand side by side."""
        lines = (line for name in self.names for line in name.splitlines())
        entry = PATCH + CHARACTER * max(map(len, lines), default=0)
        return max(1, int(self.width / entry))

    @property
    def height(self) -> float:
        """In inches."""
        lines = sum(name.count('\n') + 1 for name in self.names)
        return LINE * (ceil(lines / self.ncols) + 0.5)

    def draw(self, figure: Figure, place: tuple[float, float]) -> None:
        """Draws it with its upper left corner at a place of the figure, in shares."""
        colours = (np.divide(rgb, 255) for _, rgb in self.entries)
        figure.legend(
            handles=[
                Patch(facecolor=colour, edgecolor='0.6', label=shown(name))
                for name, colour in zip(self.names, colours, strict=True)
            ],
            loc='upper left',
            bbox_to_anchor=place,
            ncols=self.ncols,
            fontsize=SIZE,
            frameon=False,
            borderaxespad=0,
            borderpad=0,
            handlelength=1.6,
            columnspacing=1,
        )


def shown(name: str) -> str:
    """A name for a legend; matplotlib leaves out those that begin with ``_``."""
    return f' {name}' if name.startswith('_') else name


def find_legends(
    columns: Sequence[Column],
    tiles: Sequence[Sequence[np.ndarray]],
    tile_width: float,
) -> Iterator[Legend]:
    """One legend for each key; the first with blank pixels explains them.

    Args:
        columns: Of the panel.
        tiles: Of each column, what it shows of each row.
        tile_width: In inches, of a column.
    """
    explained = False
    for key in dict.fromkeys(column.key for column in columns if column.key):
        places = [i for i, column in enumerate(columns) if column.key == key]
        shown = {int(n) for i in places for tile in tiles[i] for n in np.unique(tile)}
        whole = columns[places[0]].whole_key
        entries = [each for n, each in enumerate(key) if whole or n in shown]
        if not explained and not shown <= set(range(len(key))):
            entries.append(('not labelled', (255, 255, 255)))
            explained = True
        width = (places[-1] - places[0] + 1) * tile_width
        yield Legend(places[0], tuple(entries), width)
