import pytest
import torch
from torch.nn.functional import interpolate
from torch.testing import assert_close

from mmkd.functional.resizing import resize_logits, used_pixels
from tests.reference import pair

SIZES = [((3, 4), (7, 9)), ((6, 5), (3, 2)), ((3, 4), (3, 8)), ((3, 4), (9, 4))]


@pytest.mark.parametrize(('size', 'resized'), SIZES)
@pytest.mark.parametrize('options', [{}, dict(align_corners=True)])
def test_used_pixels(size, resized, options):
    """Those to which a valid pixel has a gradient."""
    mask = torch.rand(2, *resized, generator=torch.Generator().manual_seed(0)) > 0.8
    logits = torch.zeros(2, 1, *size, dtype=torch.float64, requires_grad=True)
    result = interpolate(logits, resized, mode='bilinear', **options)
    result[:, 0][mask].sum().backward()
    used = logits.grad[:, 0] != 0
    assert not used.all()
    assert torch.equal(used_pixels(mask, size, **options), used)


@pytest.mark.parametrize(('size', 'resized'), SIZES)
def test_corners_are_not_aligned_by_default(size, resized):
    logits, _ = pair(2, 5, *size)
    expected = interpolate(logits, resized, mode='bilinear', align_corners=False)
    assert_close(resize_logits(logits, resized), expected)


def test_a_neighbor_of_weight_0_has_no_part():
    """Row 7 of 12 lies on row 2 of 4; row 3 is its neighbor."""
    logits, _ = pair(1, 5, 4, 6)
    mask = torch.arange(12)[None, :, None].expand(1, 12, 18) < 8
    expected = resize_logits(logits, (12, 18))[:, :, :8]
    logits[:, :, 3] = torch.nan
    assert not resize_logits(logits, (12, 18))[:, :, :8].isfinite().all()
    assert_close(resize_logits(logits, (12, 18), mask=mask)[:, :, :8], expected)
