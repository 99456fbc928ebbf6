import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation, binary_erosion

from mmkd.functional import label_edges


def regions(size=(25, 31), seed=0):
    """Labels of random rectangles, with two ignored ones."""
    generator = np.random.default_rng(seed)
    label = np.zeros((2, *size), dtype=np.int64)
    for value in (1, 2, 3, 4, 255, 2, 255, 0, 1):
        n, top, left = generator.integers((2, size[0] - 4, size[1] - 4))
        label[n, top : top + 9, left : left + 7] = value
    return label


def dilation_minus_erosion(label, width, ignored):
    """Of each class in turn; ignored pixels belong to no class and bound none."""
    window = np.ones((2 * width + 1,) * 2, dtype=bool)
    edges = np.zeros_like(label, dtype=bool)
    for image, found in zip(label, edges, strict=True):
        for value in set(np.unique(image)) - {ignored}:
            area = image == value
            kept = binary_erosion(area | (image == ignored), window, border_value=1)
            found |= binary_dilation(area, window) & ~kept
        found &= image != ignored
    return edges


@pytest.mark.parametrize('width', [1, 2, 4, 40])
@pytest.mark.parametrize('ignored', [255, 0])
def test_equals_dilation_minus_erosion(width, ignored, device):
    label = regions()
    found = label_edges(torch.from_numpy(label).to(device), width, ignored).cpu()
    expected = torch.from_numpy(dilation_minus_erosion(label, width, ignored))
    assert expected.any()
    assert torch.equal(found, expected)


def test_edges_are_close_to_another_class():
    label = torch.from_numpy(regions(seed=1))
    places = torch.cartesian_prod(torch.arange(25), torch.arange(31))
    for image, edges in zip(label, label_edges(label, width=3), strict=True):
        for row, column in places.tolist():
            around = image[max(row - 3, 0) : row + 4, max(column - 3, 0) : column + 4]
            others = set(around.flatten().tolist()) - {255}
            is_edge = len(others) > 1 and image[row, column] != 255
            assert edges[row, column] == is_edge


@pytest.mark.parametrize('value', [3, 255])
def test_without_an_edge(value):
    label = torch.full((1, 1, 1), value)
    assert not label_edges(label).any()
    assert not label_edges(label.expand(2, 6, 5)).any()


def test_an_ignored_strip_hides_a_boundary():
    label = torch.tensor([[[1, 1, 1, 255, 255, 255, 255, 2, 2, 2]]])
    assert not label_edges(label, width=4).any()
    assert label_edges(label, width=5)[0, 0].tolist() == [
        *[False, False, True, False, False],
        *[False, False, True, False, False],
    ]


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        (dict(width=0), ValueError, '^edge_width must be at least 1 pixel, but is 0$'),
        (dict(width=1.5), TypeError, '^edge_width must be an integer, but is 1.5$'),
        (dict(target=torch.zeros(2)), ValueError, r'must be \(N, H, W\), but is \(2,'),
    ],
)
def test_errors(options, error, message):
    with pytest.raises(error, match=message):
        label_edges(**{'target': torch.zeros(1, 2, 2).long(), **options})
