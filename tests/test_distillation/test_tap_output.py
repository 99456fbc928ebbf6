import pytest
import torch
from torch.testing import assert_close

from mmkd.distillation.tap_output import logits_of
from mmkd.functional import mask_logits

N, Q, C, H, W = 2, 6, 4, 5, 3


@pytest.fixture
def masks():
    return torch.randn(N, Q, H, W)


@pytest.fixture
def scores():
    return torch.randn(N, Q, C + 1)


def test_a_tensor_is_returned_as_it_is(masks):
    assert logits_of(masks) is masks


def test_the_last_map_of_several_stages(masks):
    stages = [torch.randn(N, C, H, W) for _ in range(2)]
    assert logits_of(stages) is stages[1]
    assert logits_of((*stages, torch.randn(N, C, 9, 9), masks)) is masks


def test_the_map_of_a_map_and_a_vector():
    """EncNet's class map and the classes that occur in the image."""
    map_, vector = torch.randn(N, C, H, W), torch.randn(N, C)
    assert logits_of((map_, vector)) is map_


def test_vectors_are_added():
    """Conformer predicts the sum of its two scores."""
    first, second = torch.randn(2, N, C)
    assert_close(logits_of((first, second)), first + second)


@pytest.mark.parametrize(
    'output', [None, {}, [], [None], (torch.randn(N, C), torch.randn(N, 3)), 'text']
)
def test_no_logits(output):
    assert logits_of(output) is None


@pytest.mark.parametrize('order', [1, -1])
@pytest.mark.parametrize('form', ['last layer', 'lists', 'stacked'])
def test_scores_and_masks(scores, masks, form, order):
    """As Mask2Former, MaskFormer and, with the masks first, SAN output them."""
    expected = mask_logits(scores, masks)
    others = [torch.randn_like(scores), torch.randn_like(masks)]
    pair = [scores, masks]
    if form != 'last layer':
        pair = [[other, last] for other, last in zip(others, pair, strict=True)]
    if form == 'stacked':
        pair = [torch.stack(layers) for layers in pair]
    assert torch.equal(logits_of(pair[::order]), expected)


def test_two_stages_are_no_masks():
    """Not even where one dimension too many would fit."""
    assert logits_of([torch.randn(N, C, H, W)] * 2).shape == (N, C, H, W)
