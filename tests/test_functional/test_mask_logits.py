import itertools

import pytest
import torch
from torch.autograd import gradcheck
from torch.testing import assert_close

from mmkd.functional import mask_logits

N, Q, C, H, W = 2, 7, 5, 6, 4


def predictions(seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    return (
        3 * torch.randn(N, Q, C + 1, generator=generator, **options),
        3 * torch.randn(N, Q, H, W, generator=generator, **options),
    )


def test_equals_the_formula(device):
    classes, masks = predictions(dtype=torch.float64)
    expected = torch.empty(N, C, H, W, dtype=torch.float64)
    for n, c in itertools.product(range(N), range(C)):
        expected[n, c] = sum(
            classes[n, q].softmax(0)[c] / (1 + (-masks[n, q]).exp()) for q in range(Q)
        ).log()
    found = mask_logits(classes.to(device), masks.to(device))
    assert_close(found.cpu(), expected)


def test_argmax_is_the_prediction_of_transformers():
    transformers = pytest.importorskip('transformers')
    from transformers.models.mask2former.modeling_mask2former import (
        Mask2FormerForUniversalSegmentationOutput,
    )

    classes, masks = predictions()
    masks = torch.nn.functional.interpolate(masks, size=(384, 384))  # resized to this
    outputs = Mask2FormerForUniversalSegmentationOutput(
        class_queries_logits=classes, masks_queries_logits=masks
    )
    processor = transformers.Mask2FormerImageProcessor()
    expected = processor.post_process_semantic_segmentation(outputs)
    found = mask_logits(classes, masks).argmax(1)
    assert (found == torch.stack(expected)).all()


def test_gradient():
    classes, masks = predictions(dtype=torch.float64)
    assert gradcheck(mask_logits, (classes.requires_grad_(), masks.requires_grad_()))


@pytest.mark.parametrize('scale', [1e2, 4e3])
def test_extreme_logits(scale, dtype):
    """Give finite logits and gradients in any precision."""
    classes, masks = (
        (scale * logits).to(dtype).requires_grad_() for logits in predictions()
    )
    logits = mask_logits(classes, masks)
    assert logits.dtype == torch.promote_types(dtype, torch.float32)
    assert logits.isfinite().all()
    assert (logits.amax(1) - logits.amin(1)).max() < 14
    (logits * torch.randn_like(logits)).sum().backward()
    assert classes.grad.isfinite().all()
    assert masks.grad.isfinite().all()


@pytest.mark.parametrize(
    'shapes',
    [((2, 7, 6), (2, 6, 4, 4)), ((7, 6), (2, 7, 4, 4)), ((2, 7, 6), (7, 4, 4))],
)
def test_mismatched_shapes(shapes):
    with pytest.raises(ValueError, match=r'must be .* and .*, but are') as raised:
        mask_logits(*map(torch.zeros, shapes))
    assert str(shapes[0]) in str(raised.value)
