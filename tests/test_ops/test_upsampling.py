import pytest
import torch
from torch.nn.functional import interpolate
from torch.testing import assert_close

from mmkd.ops.upsampling import neighbors


@pytest.mark.parametrize(
    ('length', 'resized'), [(1, 5), (2, 4), (3, 7), (5, 3), (4, 4)]
)
@pytest.mark.parametrize('align_corners', [False, True])
def test_neighbors(length, resized, align_corners):
    first, second, weight = neighbors(length, resized, align_corners)
    values = torch.randn(length, dtype=torch.float64)
    expected = interpolate(
        values[None, None, :, None], (resized, 1), mode='bilinear',
        align_corners=align_corners,
    )[0, 0, :, 0]  # fmt: skip
    assert_close((1 - weight) * values[first] + weight * values[second], expected)
    border = first == length - 1
    assert torch.equal(second, first + ~border)
    assert (weight[border] == 0).all()
