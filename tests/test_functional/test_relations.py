import torch
from torch.autograd import gradcheck
from torch.testing import assert_close

from mmkd.functional.relations import gram_distance, grid_means
from tests.reference import pair


def test_gram_distance(device):
    a, b = pair(2, 4, 3, device=device)
    expected = [
        sum(
            float(a[g, i] @ a[g, j] - b[g, i] @ b[g, j]) ** 2
            for i in range(4)
            for j in range(4)
        )
        / 4
        for g in range(2)
    ]
    assert_close(gram_distance(a, b).tolist(), expected)


def test_gram_distance_of_some_rows(device):
    a, b = pair(2, 4, 3, device=device)
    mask = torch.tensor([[True, False, True, True], [False] * 4], device=device)
    expected = gram_distance(a[:1, mask[0]], b[:1, mask[0]])
    assert_close(
        gram_distance(a, b, mask), torch.cat([expected, expected.new_zeros(1)])
    )
    assert_close(gram_distance(a, b, mask[0])[:1], expected)
    one = torch.tensor([False, True, False, False])
    assert_close(gram_distance(a, b, one), gram_distance(a[:, one], b[:, one]))


def test_grid_means(device):
    """Each cell's mean, of its valid pixels, is what a loop finds."""
    values, _ = pair(1, 2, 6, 4, device=device)
    mask = torch.rand(1, 6, 4, generator=torch.Generator().manual_seed(1)) > 0.5
    mask[0, :2, :2] = False
    mask = mask.to(device)
    means, any_valid = grid_means(values, mask, side=2)
    for cell in range(4):
        y, x = 3 * (cell // 2), 2 * (cell % 2)
        inside = mask[0, y : y + 3, x : x + 2]
        found = values[0, :, y : y + 3, x : x + 2][:, inside]
        assert bool(any_valid[0, cell]) == bool(inside.any())
        expected = found.mean(1) if inside.any() else values.new_zeros(2)
        assert_close(means[0, cell], expected)


def test_grid_of_a_small_map():
    """A map smaller than the grid has a cell a pixel."""
    values, _ = pair(2, 3, 2, 5)
    means, any_valid = grid_means(values, None, side=8)
    assert_close(means, values.flatten(2).mT)
    assert any_valid.all()


def test_gradient():
    (values, other), mask = pair(1, 2, 3, 3), torch.eye(3, dtype=torch.bool)[None]
    other, _ = grid_means(other, mask, 2)

    def distance(x):
        return gram_distance(grid_means(x, mask, 2)[0], other)

    assert gradcheck(distance, values.requires_grad_())
