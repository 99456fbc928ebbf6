"""Predictions of several networks side by side, as one picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

# Which of two networks is right at a pixel, and the colour for it.
VERDICTS = {
    'both right': (222, 222, 222),
    'only {second} right': (31, 158, 92),
    'only {first} right': (230, 113, 36),
    'both wrong': (70, 70, 80),
    'not labelled': (255, 255, 255),
}


@dataclass(frozen=True)
class Row:
    """One image of a panel.

    Args:
        image: (H, W, 3), RGB, 8 bits.
        label: (H, W), the class of each pixel.
        predictions: (H, W) of each network, by its name.
    """

    image: np.ndarray
    label: np.ndarray
    predictions: Mapping[str, np.ndarray]


def draw_panel(
    rows: Sequence[Row],
    path: str | Path,
    classes: Sequence[str],
    palette: Sequence[Sequence[int]],
    contrast: tuple[str, str],
    ignore_index: int = 255,
) -> None:
    """Draws image, label, predictions and where two networks differ from the label.

    Args:
        rows: The images, each with predictions of the same networks.
        path: The picture to write, in a format that its suffix names.
        classes: Names of the classes; the legend has those that the labels show.
        palette: RGB colour of each class, 8 bits.
        contrast: Names of the two networks that the last column compares.
        ignore_index: Label of the pixels that have none. They are white.

    Raises:
        KeyError: if a row lacks a prediction that ``contrast`` names.

    Example:
        >>> import numpy as np
        >>> label = np.array([[0, 1], [1, 255]])
        >>> image = np.zeros((2, 2, 3), np.uint8)
        >>> row = Row(image, label, dict(small=label * 0, large=label))
        >>> colours = [(128, 64, 128), (70, 130, 180)]
        >>> draw_panel([row], '/tmp/panel.png', ['road', 'sky'], colours,
        ...            ('small', 'large'))
    """
    first, second = contrast
    titles = ['image', 'label', *rows[0].predictions, f'{first} against {second}']
    height, width = rows[0].label.shape
    tile = np.array([2.6, 2.6 * height / width])  # inches
    legend = 0.75
    size = tile * [len(titles), len(rows)] + [0, 0.3 + legend]
    figure = Figure(figsize=size, layout='constrained')
    pictures, key = figure.subfigures(2, 1, height_ratios=[size[1] - legend, legend])
    axes = pictures.subplots(len(rows), len(titles), squeeze=False)
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title)
    for row, places in zip(rows, axes, strict=True):
        maps = [row.label, *row.predictions.values()]
        verdict = compare(row.label, *(row.predictions[name] for name in contrast))
        verdict[row.label == ignore_index] = len(VERDICTS) - 1
        tiles = [
            row.image,
            *(colour(each, palette) for each in maps),
            colour(verdict, list(VERDICTS.values())),
        ]
        for axis, pixels in zip(places, tiles, strict=True):
            axis.imshow(pixels, interpolation='nearest')
            axis.set_axis_off()

    seen = np.unique(np.stack([row.label for row in rows]))
    entries = [(classes[i], palette[i]) for i in seen if i < len(classes)]
    names = (name.format(first=first, second=second) for name in VERDICTS)
    for side, place, pairs, columns in (
        ('left', 0.01, entries, 10),
        ('right', 0.99, zip(names, VERDICTS.values(), strict=True), 2),
    ):
        patches = [
            Patch(facecolor=np.divide(rgb, 255), edgecolor='0.6', label=name)
            for name, rgb in pairs
        ]
        box = dict(loc=f'center {side}', bbox_to_anchor=(place, 0.5), frameon=False)
        key.legend(handles=patches, ncols=columns, fontsize=8, **box)
    figure.savefig(path, dpi=100)


def compare(label: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Which of two predictions is right: 0 both, 1 the second, 2 the first, 3 none."""
    return 2 * (second != label) + (first != label)


def colour(labels: np.ndarray, palette: Sequence[Sequence[int]]) -> np.ndarray:
    """Paints labels in their classes' colours; those beyond the palette white."""
    table = np.full((256, 3), 255, np.uint8)
    table[: len(palette)] = palette
    return table[labels]
