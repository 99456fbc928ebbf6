"""Panel: one picture of several images with the predictions of several networks."""

import io
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import BinaryIO

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from .panel_column import Entry, Legend, PanelColumn
from .panel_row import PanelRow

DPI = 200
TILE, GAP, BAR = 2.4, 0.12, 0.13  # width of a tile, height of a bar, in inches
TITLE_SIZE, TITLE_LENGTH, UNIT_LENGTH = 14, 21, 30  # points; characters per line
LEGEND_SIZE, PATCH, CHARACTER = 12, 0.5, 0.093  # points; their width in inches
WHITE = (255, 255, 255)
HEAT = colormaps['viridis'].with_extremes(bad='white')


@rc_context({'text.parse_math': False})  # names may contain dollar signs
def draw_panel(
    rows: Sequence[PanelRow],
    path: str | Path | BinaryIO,
    columns: Sequence[PanelColumn],
) -> None:
    """Draw a row of tiles for each image, with legends and color bars below.

    A tile is 480 pixels wide; images may differ in size. The color scale of a heat map
    ends at the 99th percentile of its column.

    Args:
        rows: The images, at least one.
        path: Picture to write, in the format of its suffix; a file object receives PNG.
        columns: See :func:`panel_columns`.

    Raises:
        KeyError: if a row lacks the data of a column.

    Example:
        >>> from mmkd.visualization import class_columns, error_column
        >>> label = np.array([[0, 1], [1, 255]])
        >>> image = np.zeros((2, 2, 3), np.uint8)
        >>> row = PanelRow(image, label, dict(small=label * 0, large=label))
        >>> meta = dict(classes=['road', 'sky'], palette=[(0, 0, 0), (9, 9, 9)])
        >>> columns = [*class_columns(meta, row.predictions), error_column('large')]
        >>> draw_panel([row], '/tmp/panel.png', columns)
    """
    tiles = [[column.tile(row) for row in rows] for column in columns]
    heights = [TILE * row.label.shape[0] / row.label.shape[1] for row in rows]
    size = (
        len(columns) * (TILE + GAP) - GAP,
        sum(heights) + (len(rows) - 1) * GAP,
    )
    # Titles, legends and bars are drawn outside the figure; savefig extends it.
    figure = Figure(size, dpi=DPI)
    grid = figure.subplots(
        len(rows),
        len(columns),
        squeeze=False,
        gridspec_kw=dict(
            **dict(left=0, right=1, bottom=0, top=1),
            wspace=GAP / TILE,
            hspace=GAP / np.mean(heights),
            height_ratios=heights,
        ),
    ).T
    for column, axes, shown in zip(columns, grid, tiles, strict=True):
        axes[0].set_title(fill(column.title, TITLE_LENGTH), fontsize=TITLE_SIZE)
        for place in axes:
            place.set_axis_off()
        if column.legend is None and shown[0].ndim == 2:
            _draw_heat_maps(axes, shown, column.unit, heights[-1])
            continue
        for place, tile in zip(axes, shown, strict=True):
            if column.legend is None:
                place.imshow(tile)
            else:
                place.imshow(_paint(tile, column.legend), interpolation='nearest')
    _draw_legends(columns, grid[:, -1], tiles)
    figure.savefig(path, bbox_inches='tight', pad_inches=GAP)


def panel_pixels(
    rows: Sequence[PanelRow], columns: Sequence[PanelColumn]
) -> np.ndarray:
    """Return the picture of :func:`draw_panel` as (H, W, 3), 8-bit RGB."""
    file = io.BytesIO()
    draw_panel(rows, file, columns)
    return np.asarray(Image.open(file).convert('RGB'))


def _paint(numbers: np.ndarray, legend: Legend) -> np.ndarray:
    """Color (H, W) numbers as in the legend; numbers without an entry become white."""
    colors = np.array([*(rgb for _, rgb in legend), WHITE], np.uint8)
    known = (numbers >= 0) & (numbers < len(legend))
    return colors[np.where(known, numbers, -1)]


def _draw_heat_maps(
    axes: Sequence[Axes], tiles: Sequence[np.ndarray], unit: str, height: float
) -> None:
    """Draw values from 0 to their 99th percentile.

    ``height`` is that of the last axes.
    """
    values = np.concatenate([tile[np.isfinite(tile)] for tile in tiles])
    top = (np.percentile(values, 99) if values.size else 0) or 1
    for place, tile in zip(axes, tiles, strict=True):
        heat = place.imshow(tile, HEAT, vmin=0, vmax=top, interpolation='nearest')
    bar = place.inset_axes((0, -(GAP + BAR) / height, 1, BAR / height))
    place.figure.colorbar(
        heat, bar, orientation='horizontal', extend='max', label=fill(unit, UNIT_LENGTH)
    )


def _draw_legends(
    columns: Sequence[PanelColumn],
    axes: Sequence[Axes],
    tiles: Sequence[Sequence[np.ndarray]],
) -> None:
    """Draw each legend once below its columns; the first also explains white pixels."""
    explained = False
    for legend in dict.fromkeys(column.legend for column in columns if column.legend):
        places = [i for i, column in enumerate(columns) if column.legend == legend]
        shown = {int(n) for i in places for tile in tiles[i] for n in np.unique(tile)}
        full = columns[places[0]].full_legend
        entries = [entry for n, entry in enumerate(legend) if full or n in shown]
        if not explained and not shown <= set(range(len(legend))):
            entries.append(('not labeled', WHITE))
            explained = True
        width = (places[-1] - places[0] + 1) * (TILE + GAP)
        _draw_legend(axes[places[0]], entries, width)


def _draw_legend(axes: Axes, entries: Sequence[Entry], width: float) -> None:
    """Draw a legend below axes, with as many columns as fit into a width."""
    names = [fill(name, int((width - PATCH) / CHARACTER)) for name, _ in entries]
    longest = max((len(ln) for name in names for ln in name.splitlines()), default=0)
    axes.legend(
        handles=[
            # matplotlib hides labels that start with '_'.
            Patch(
                facecolor=(red / 255, green / 255, blue / 255),
                edgecolor='0.6',
                label=f' {name}' if name.startswith('_') else name,
            )
            for name, (_, (red, green, blue)) in zip(names, entries, strict=True)
        ],
        loc='upper left',
        bbox_to_anchor=(0, 0),
        ncols=max(1, int(width / (PATCH + CHARACTER * longest))),
        fontsize=LEGEND_SIZE,
        frameon=False,
        borderpad=0,
        handlelength=1.6,
        columnspacing=1,
    )
