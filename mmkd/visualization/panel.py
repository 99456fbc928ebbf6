"""Images and what networks make of them, as one picture."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .columns import Column, colour
from .legend import find_legends
from .row import Row

DPI = 200
TILE, GAP = 2.4, 0.12  # inches, as all lengths here
TITLE, TITLE_SIZE, TITLE_LENGTH = 0.28, 14, 21  # of a line; in points; in characters
BAR, BAR_SPACE = 0.13, 0.65
UNIT, UNIT_LENGTH = 0.17, 30  # of a line below a bar; in characters
HEAT = colormaps['viridis'].with_extremes(bad='white')


def draw_panel(
    rows: Sequence[Row], path: str | Path, columns: Sequence[Column]
) -> None:
    """Draws a row of tiles for each image, with legends and colour bars below.

    A tile is 480 pixels wide; images of different sizes may stand in one panel. A heat
    map's colours end at the 99th percentile of its column.

    Args:
        rows: The images, at least one.
        path: The picture to write, in a format that its suffix names.
        columns: What to show of them: see :func:`mmkd.visualization.comparison`.

    Raises:
        KeyError: if a row lacks what a column shows.

    Example:
        >>> from mmkd.visualization import error, maps
        >>> label = np.array([[0, 1], [1, 255]])
        >>> image = np.zeros((2, 2, 3), np.uint8)
        >>> row = Row(image, label, dict(small=label * 0, large=label))
        >>> meta = dict(classes=['road', 'sky'], palette=[(0, 0, 0), (9, 9, 9)])
        >>> columns = [*maps(meta, row.predictions), error('large', against='small')]
        >>> draw_panel([row], '/tmp/panel.png', columns)
    """
    _figure(rows, columns).savefig(path)


def panel_pixels(rows: Sequence[Row], columns: Sequence[Column]) -> np.ndarray:
    """The same panel as (H, W, 3), RGB, 8 bits."""
    canvas = FigureCanvasAgg(_figure(rows, columns))
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def _figure(rows: Sequence[Row], columns: Sequence[Column]) -> Figure:
    tiles = [[column.tile(row) for row in rows] for column in columns]
    titles = [fill(column.title, TITLE_LENGTH) for column in columns]
    units = [fill(column.unit, UNIT_LENGTH) for column in columns]
    legends = list(find_legends(columns, tiles, TILE + GAP))
    top = GAP + TITLE * max(title.count('\n') + 1 for title in titles)
    heights = [TILE * row.label.shape[0] / row.label.shape[1] for row in rows]
    lefts = [GAP + i * (TILE + GAP) for i in range(len(columns))]
    tops = [top + sum(heights[:i]) + GAP * i for i in range(len(rows) + 1)]
    width = lefts[-1] + TILE + GAP
    bars = [BAR_SPACE + UNIT * unit.count('\n') for unit in units]
    height = tops[-1] + max([*bars, *(legend.height for legend in legends)])
    figure = Figure((width, height), dpi=DPI)

    def axes(x: float, y: float, tall: float) -> Axes:
        """Axes as wide as a tile, whose upper left corner is at (x, y)."""
        box = x / width, 1 - (y + tall) / height, TILE / width, tall / height
        return figure.add_axes(box)

    for x, title, column, unit, shown in zip(
        lefts, titles, columns, units, tiles, strict=True
    ):
        places = [axes(x, y, tall) for y, tall in zip(tops[:-1], heights, strict=True)]
        places[0].set_title(title, fontsize=TITLE_SIZE)
        if column.key is None and shown[0].ndim == 2:
            heat = _draw_heat(places, shown)
            bar = figure.colorbar(
                heat, axes(x, tops[-1], BAR), orientation='horizontal', extend='max'
            )
            bar.set_label(unit)
        else:
            _draw_colours(places, shown, column)
        for place in places:
            place.set_axis_off()
    for legend in legends:
        legend.draw(figure, (lefts[legend.first] / width, 1 - tops[-1] / height))
    return figure


def _draw_colours(
    places: Sequence[Axes], tiles: Sequence[np.ndarray], column: Column
) -> None:
    for place, tile in zip(places, tiles, strict=True):
        if column.key is None:
            place.imshow(tile)
        else:
            place.imshow(colour(tile, column.key), interpolation='nearest')


def _draw_heat(places: Sequence[Axes], tiles: Sequence[np.ndarray]) -> object:
    """Draws values from 0 to the 99th percentile of them all, in one scale."""
    values = np.concatenate([tile[np.isfinite(tile)] for tile in tiles])
    top = (np.percentile(values, 99) if values.size else 0) or 1
    for place, tile in zip(places, tiles, strict=True):
        heat = place.imshow(tile, HEAT, vmin=0, vmax=top, interpolation='nearest')
    return heat
