import pytest
import torch
from torch.testing import assert_close

from mmkd.functional import class_balance
from tests.reference import pair


def naive(logits, counted):
    """One position and one class at a time."""
    rows = logits.movedim(1, -1).flatten(0, -2)
    flat = counted.flatten().tolist()
    p = [(row.exp() / row.exp().sum()).tolist() for row in rows]
    there = [q for q, counts in zip(p, flat, strict=True) if counts]
    classes = range(logits.shape[1])
    mass = [sum(q[c] for q in there) for c in classes]
    return [
        len(there) / len(classes) * sum(q[c] / mass[c] for c in classes) * counts
        for q, counts in zip(p, flat, strict=True)
    ]


@pytest.mark.parametrize('shape', [(6, 4), (2, 5, 3, 4)])
def test_equals_the_formula(shape):
    logits, _ = pair(*shape)
    counted = torch.rand(shape[0], *shape[2:]) > 0.3
    counted.view(-1)[0] = True
    expected = torch.tensor(naive(logits, counted), dtype=torch.float64)
    assert_close(class_balance(logits, counted).flatten(), expected)
    everywhere = class_balance(logits, torch.ones_like(counted))
    assert_close(class_balance(logits), everywhere)


def test_classes_weigh_the_same_and_positions_1_in_the_mean():
    logits, _ = pair(2, 5, 3, 4)
    weights = class_balance(logits)
    assert_close(weights.mean(), torch.tensor(1.0, dtype=torch.float64))
    certain = torch.full((10, 3), -1e4)
    certain[:9, 0] = certain[9, 1] = 1e4  # nothing of the third class
    assert_close(class_balance(certain), torch.tensor([5 / 9] * 9 + [5.0]))


def test_nothing_counts():
    logits, _ = pair(2, 5, 3, 4)
    nothing = torch.zeros(2, 3, 4, dtype=torch.bool)
    assert (class_balance(logits, nothing) == 0).all()


def test_half_precision_is_computed_in_float32():
    logits = torch.randn(2, 5, 3, 4).half()
    assert class_balance(logits).dtype == torch.float32
