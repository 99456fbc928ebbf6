"""Subsets and unions of classes against probabilities in float64."""

import pytest
import torch
from torch.autograd import gradcheck
from torch.testing import assert_close

from mmkd.functional.classes import (
    included_classes,
    merge_classes,
    renumber,
    select_classes,
    spread_classes,
)
from tests.reference import pair

GROUPS = [(4,), (0, 2), (1,)]


@pytest.mark.parametrize('shape', [(6, 5), (2, 5, 3, 4)])
def test_a_union_has_the_sum_of_the_probabilities(shape, device):
    logits, _ = pair(*shape, device=device)
    p = logits.softmax(1)
    sums = torch.stack([sum(p[:, i] for i in group) for group in GROUPS], 1)
    expected = sums / sums.sum(1, keepdim=True)  # class 3 is in no group
    assert_close(merge_classes(logits, GROUPS).softmax(1), expected)


@pytest.mark.parametrize('shape', [(3, 5), (2, 5, 2, 3)])
def test_gradients(shape):
    """Reach the classes of the groups alone."""
    logits = pair(*shape)[0].requires_grad_()
    for function, unused in (
        (lambda x: merge_classes(x, GROUPS), [3]),
        (lambda x: select_classes(x, (4, 0)), [1, 2, 3]),
    ):
        assert gradcheck(function, logits)
        (gradient,) = torch.autograd.grad(function(logits).square().sum(), logits)
        assert not gradient[:, unused].any()
        used = [index for index in range(5) if index not in unused]
        assert gradient[:, used].all()


def test_infinite_and_large_logits():
    logits = torch.tensor([[1e34, -torch.inf, 1e34, -torch.inf, -1e34]])
    merged = merge_classes(logits, [(0, 2), (1, 3), (4,)])
    assert merged.tolist() == [[pytest.approx(1e34), -torch.inf, pytest.approx(-1e34)]]
    half = torch.tensor([[60000.0, 60000.0]], dtype=torch.float16)
    merged = merge_classes(half, [(0, 1)])
    assert merged.dtype == torch.float32
    assert merged.item() == pytest.approx(60000.69, abs=0.01)


def test_spread_classes_are_never_predicted():
    logits, _ = pair(2, 3, 4, 5)
    spread = spread_classes(logits - 1e30, (4, 0, 2), total=6)
    assert set(spread.argmax(1).flatten().tolist()) <= {0, 2, 4}
    assert torch.equal(spread[:, [4, 0, 2]], logits - 1e30)
    # Also after resizing, which -inf would turn into NaN.
    resized = torch.nn.functional.interpolate(spread.float(), (7, 9), mode='bilinear')
    assert included_classes(resized) == [0, 2, 4]


@pytest.mark.parametrize('dtype', [torch.int64, torch.uint8])
def test_renumbers_labels(dtype):
    target = torch.tensor([[0, 1, 2, 3, 255, 200]], dtype=dtype)
    found = renumber(target, (3, 1), total=4, ignore_index=255)
    # What is no class remains wrong, and is not mistaken for one.
    assert found.tolist() == [[255, 1, 255, 0, 255, 200]]


def test_indices_made_in_inference_mode_can_be_trained_with():
    classes = (9, 8, 7)
    with torch.inference_mode():
        select_classes(torch.zeros(1, 10), classes)
    logits = torch.zeros(1, 10, requires_grad=True)
    select_classes(logits, classes).sum().backward()
    assert logits.grad.sum() == 3
