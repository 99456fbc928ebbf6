import numpy as np
import pytest
from PIL import Image

from mmkd.visualization import Row, draw_panel
from mmkd.visualization.panel import VERDICTS, colour, compare

PALETTE = [(128, 64, 128), (70, 130, 180), (0, 0, 142)]
LABEL = np.array([[0, 1], [2, 255]], np.uint8)


def row(**predictions):
    image = np.full((2, 2, 3), 77, np.uint8)
    return Row(image, LABEL, {k: np.array(v) for k, v in predictions.items()})


def pixels(path):
    """The colours of a picture and how often each occurs."""
    image = np.array(Image.open(path).convert('RGB')).reshape(-1, 3)
    found, counts = np.unique(image, axis=0, return_counts=True)
    return {tuple(map(int, rgb)): n for rgb, n in zip(found, counts, strict=True)}


def test_compare():
    label = np.array([0, 0, 0, 0])
    verdict = compare(label, np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]))
    assert [list(VERDICTS)[i] for i in verdict] == [
        'both right',
        'only {second} right',
        'only {first} right',
        'both wrong',
    ]


def test_colour():
    assert colour(LABEL, PALETTE).tolist() == [
        [[128, 64, 128], [70, 130, 180]],
        [[0, 0, 142], [255, 255, 255]],
    ]


def test_areas_of_the_panel(tmp_path):
    # Two networks: one right everywhere, one that is wrong at the only car.
    right, wrong = [[0, 1], [2, 0]], [[0, 1], [1, 0]]
    rows = [row(small=wrong, large=right)] * 2
    names = ('road', 'sky', 'car')
    draw_panel(rows, tmp_path / 'a.png', names, PALETTE, ('small', 'large'))
    found = pixels(tmp_path / 'a.png')
    tile = found[(77, 77, 77)] / 4  # pixels that one label takes
    for rgb, labels in (
        ((0, 0, 142), 2),  # in the label and the large network's map
        ((70, 130, 180), 4),  # in label and large, twice in small
        (VERDICTS['only {second} right'], 1),
        (VERDICTS['both right'], 2),
    ):
        assert found[rgb] / tile == pytest.approx(labels, rel=0.1), rgb
    assert found.get(VERDICTS['only {first} right'], 0) < 0.1 * tile


def test_legend_names_what_is_there(tmp_path):
    rows = [row(small=LABEL, large=LABEL)]
    names = ('road', 'sky', 'car')
    draw_panel(rows, tmp_path / 'a.svg', names, PALETTE, ('small', 'large'))
    # Text is drawn as paths, with the text itself in a comment.
    text = (tmp_path / 'a.svg').read_text()
    for name in (*names, 'small', 'large', 'only large right', 'only small right'):
        assert f'<!-- {name} -->' in text
    assert 'not labelled' in text


def test_unknown_network(tmp_path):
    rows = [row(small=LABEL, large=LABEL)]
    names = ('road', 'sky', 'car')
    with pytest.raises(KeyError, match='medium'):
        draw_panel(rows, tmp_path / 'a.png', names, PALETTE, ('small', 'medium'))
