import warnings

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from mmkd.visualization import (
    PanelRow,
    class_columns,
    draw_panel,
    error_column,
    kl_column,
    panel_pixels,
)
from mmkd.visualization.panel import DPI, GAP, TILE
from mmkd.visualization.panel_column import ERRORS_OF_TWO

META = dict(
    classes=('road', 'sky', 'car'),
    palette=[(128, 64, 128), (70, 130, 180), (0, 0, 142)],
)
LABEL = np.array([[0, 1], [2, 255]], np.uint8)
# One network is right everywhere, one wrong at the only car.
RIGHT, WRONG = np.array([[0, 1], [2, 0]]), np.array([[0, 1], [1, 0]])
COLUMNS = [
    *class_columns(META, ['small', 'large']),
    error_column('large', against='small'),
]
WHITE = (255, 255, 255)


def row(label=LABEL, kl=None, **predictions):
    image = np.full((*label.shape, 3), 77, np.uint8)
    return PanelRow(
        image, label, predictions or dict(small=WRONG, large=RIGHT), kl or {}
    )


def count(image):
    """The colors of a picture and how often each occurs."""
    found, counts = np.unique(image.reshape(-1, 3), axis=0, return_counts=True)
    return {tuple(map(int, rgb)): n for rgb, n in zip(found, counts, strict=True)}


def tile(image, rows, place, column):
    """Tile of a column in the row at ``place``."""
    width = round((TILE + GAP) * DPI)
    x = round(GAP * DPI)
    ys = np.flatnonzero((image[:, x + 20] == 77).all(1))  # the images are of 77 alone
    starts = ys[np.flatnonzero(np.diff(ys, prepend=-9) > 1)]
    ends = ys[np.flatnonzero(np.diff(ys, append=ys[-1] + 9) > 1)]
    assert len(starts) == rows
    x += column * width
    return image[starts[place] : ends[place] + 1, x : x + round(TILE * DPI)]


def cells(image, shape):
    """The colors in the middle of each pixel that a tile shows."""
    (height, width), (h, w) = image.shape[:2], shape
    ys = ((np.arange(h) + 0.5) * height / h).astype(int)
    xs = ((np.arange(w) + 0.5) * width / w).astype(int)
    return image[np.ix_(ys, xs)]


def test_areas_of_the_panel(tmp_path):
    draw_panel([row(), row()], tmp_path / 'a.png', COLUMNS)
    found = count(np.array(Image.open(tmp_path / 'a.png').convert('RGB')))
    area = found[(77, 77, 77)] / 4  # pixels that one label takes
    verdicts = dict(ERRORS_OF_TWO)
    for rgb, labels in (
        ((0, 0, 142), 2),  # in the label and the large network's map
        ((70, 130, 180), 4),  # in label and large, twice in small
        (verdicts['only {second} right'], 1),
        (verdicts['both right'], 2),
    ):
        assert found[rgb] / area == pytest.approx(labels, rel=0.1), rgb
    assert found.get(verdicts['only {first} right'], 0) < 0.1 * area


def test_every_pixel_of_rows_of_different_sizes():
    """Painted by hand, column by column."""
    both_right, only_large, only_small, both_wrong = (rgb for _, rgb in ERRORS_OF_TWO)
    verdicts = {
        (True, True): both_right,
        (False, True): only_large,
        (True, False): only_small,
        (False, False): both_wrong,
    }
    rng = np.random.default_rng(0)
    rows = []
    for shape in ((3, 4), (5, 2), (2, 6)):
        label, small, large = rng.integers(0, 3, (3, *shape))
        label[0, 0] = 255
        rows.append(row(label, small=small, large=large))
    image = panel_pixels(rows, COLUMNS)
    assert image.dtype == np.uint8
    for place, each in enumerate(rows):
        shape = each.label.shape
        shown = [cells(tile(image, 3, place, i), shape) for i in range(5)]
        assert (shown[0] == 77).all()
        for y, x in np.ndindex(shape):
            label = int(each.label[y, x])
            small, large = (int(each.predictions[n][y, x]) for n in ('small', 'large'))
            assert tuple(shown[2][y, x]) == META['palette'][small]
            assert tuple(shown[3][y, x]) == META['palette'][large]
            expected = verdicts[small == label, large == label]
            if label == 255:
                expected = WHITE
                assert tuple(shown[1][y, x]) == WHITE
            else:
                assert tuple(shown[1][y, x]) == META['palette'][label]
            assert tuple(shown[4][y, x]) == expected


def test_heat_map():
    rng = np.random.default_rng(0)
    values = rng.exponential(size=(2, 6, 6)).astype(np.float32)
    label = np.zeros((6, 6), int)
    label[2, 3] = 255
    rows = [row(label, dict(large=kl), large=label) for kl in values]
    columns = [*class_columns(META, []), kl_column('large')]
    image = panel_pixels(rows, columns)
    valid = np.concatenate([kl[label != 255] for kl in values])
    top = np.percentile(valid, 99)
    assert top < valid.max()
    for place, kl in enumerate(values):
        shown = cells(tile(image, 2, place, 2), label.shape).astype(int)
        expected = colormaps['viridis']((kl / top).clip(0, 1), bytes=True)[..., :3]
        assert (abs(shown - expected)[label != 255] <= 3).all()
        assert tuple(shown[2, 3]) == WHITE


@pytest.mark.parametrize('kl', [0.0, np.nan], ids=['zero', 'nan'])
def test_heat_map_of_nothing(kl):
    for label in (LABEL, np.full_like(LABEL, 255)):
        rows = [row(label, dict(large=np.full(LABEL.shape, kl)))]
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            panel_pixels(rows, [kl_column('large')])


def text_of(rows, columns, path):
    draw_panel(rows, path, columns)
    return path.read_text()  # text is drawn as paths, with the text in a comment


def test_legend_names_what_is_there(tmp_path):
    labels = dict(small=LABEL * 0, large=LABEL * 0 + 2)
    rows = [row(np.zeros_like(LABEL), **labels)]
    text = text_of(rows, COLUMNS, tmp_path / 'a.svg')
    for name in ('road', 'car', 'small', 'large', 'both right', 'both wrong'):
        assert f'<!-- {name} -->' in text
    for name in ('only large right', 'only small right'):
        assert f'<!-- {name} -->' in text
    for name in ('sky', 'not labeled'):  # nowhere in any map
        assert f'<!-- {name} -->' not in text
    text = text_of([row()], COLUMNS, tmp_path / 'b.svg')
    assert text.count('<!-- not labeled -->') == 1
    assert '<!-- sky -->' in text


def test_long_names_stay_inside(tmp_path):
    """Titles, legends and what is below a bar break; nothing reaches the edge."""
    name = 'a student of a very long name indeed that nobody can read'
    rows = [row(LABEL, {name: np.ones((2, 2))}, small=WRONG, **{name: RIGHT})]
    columns = [
        *class_columns(META, ['small', name]),
        error_column(name, against='small'),
    ]
    columns.append(kl_column(name))
    text = text_of(rows, columns, tmp_path / 'a.svg')
    assert '<!-- a student of a very -->' in text
    image = panel_pixels(rows, columns)
    for edge in (image[0], image[-1], image[:, 0], image[:, -1]):
        assert (edge == 255).all()


def test_names_that_matplotlib_would_hide(tmp_path):
    meta = dict(META, classes=('_background_', 'sky', 'car'))
    text = text_of([row()], class_columns(meta, ['large']), tmp_path / 'a.svg')
    assert '_background_ -->' in text


def test_many_classes_get_a_taller_legend():
    classes = [f'class number {i}' for i in range(60)]
    meta = dict(classes=classes, palette=[(i, 3 * i, 7) for i in range(60)])
    label = np.arange(60).reshape(6, 10)
    few, many = (
        panel_pixels([row(each, large=each)], class_columns(meta, ['large']))
        for each in (label // 60, label)
    )
    assert many.shape[1] == few.shape[1]
    assert many.shape[0] > few.shape[0] + 300
    assert (many[-1] == 255).all()


def test_unknown_network(tmp_path):
    with pytest.raises(KeyError, match='medium'):
        draw_panel([row()], tmp_path / 'a.png', class_columns(META, ['medium']))
