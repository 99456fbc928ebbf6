import pytest
import torch
from torch.testing import assert_close

from mmkd.functional import class_balance
from tests.reference import computed_in, pair


def naive(logits, mask):
    """One position and one class at a time."""
    rows = logits.movedim(1, -1).flatten(0, -2)
    flat = mask.flatten().tolist()
    p = [(row.exp() / row.exp().sum()).tolist() for row in rows]
    there = [q for q, valid in zip(p, flat, strict=True) if valid]
    classes = range(logits.shape[1])
    mass = [sum(q[c] for q in there) for c in classes]
    return [
        len(there) / len(classes) * sum(q[c] / mass[c] for c in classes) * valid
        for q, valid in zip(p, flat, strict=True)
    ]


@pytest.mark.parametrize('shape', [(6, 4), (2, 5, 3, 4)])
def test_equals_the_formula(shape, device):
    logits, _ = pair(*shape, device=device)
    mask = torch.rand(shape[0], *shape[2:], device=device) > 0.3
    mask.view(-1)[0] = True
    expected = logits.new_tensor(naive(logits, mask))
    assert_close(class_balance(logits, mask).flatten(), expected)
    everywhere = class_balance(logits, torch.ones_like(mask))
    assert_close(class_balance(logits), everywhere)


def test_classes_have_the_same_weight_and_positions_mean_1():
    logits, _ = pair(2, 5, 3, 4)
    weights = class_balance(logits)
    assert_close(weights.mean(), torch.tensor(1.0, dtype=torch.float64))
    certain = torch.full((10, 3), -1e4)
    certain[:9, 0] = certain[9, 1] = 1e4  # nothing of the third class
    assert_close(class_balance(certain), torch.tensor([5 / 9] * 9 + [5.0]))


def test_a_single_class():
    certain = torch.tensor([[1e4, -1e4, -1e4]] * 3)
    assert class_balance(certain).tolist() == [1.0] * 3


def test_nan_at_an_invalid_position():
    logits, _ = pair(2, 5, 3, 4)
    mask = torch.ones(2, 3, 4, dtype=torch.bool)
    mask[0, 1, 2] = False
    logits[0, :, 1, 2] = torch.nan
    weights = class_balance(logits.requires_grad_(), mask)
    (gradient,) = torch.autograd.grad(weights.square().sum(), logits)
    assert gradient.isfinite().all()
    assert (gradient[0, :, 1, 2] == 0).all()


def test_no_valid_position():
    logits, _ = pair(2, 5, 3, 4)
    nothing = torch.zeros(2, 3, 4, dtype=torch.bool)
    assert (class_balance(logits, nothing) == 0).all()


def test_half_precision_is_computed_in_float32(device, dtype):
    precision = computed_in(dtype)
    logits, _ = pair(2, 5, 3, 4, dtype=dtype, device=device)
    found = class_balance(logits)
    assert found.dtype == precision
    assert torch.equal(found, class_balance(logits.to(precision)))
