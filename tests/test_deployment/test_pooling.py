import pytest
import torch
from torch import nn

from mmkd.deployment.pooling import MatrixAvgPool2d, replace_pooling

# Also PSPNet's on maps smaller than its bins, and sizes that are no multiple of them.
SIZES = [(45, 60), (34, 46), (97, 1), (6, 6), (5, 4), (1, 1), (128, 257)]


@pytest.mark.parametrize('bins', [1, 2, 3, 6, (3, 5), (None, 2)], ids=str)
@pytest.mark.parametrize('size', SIZES, ids=str)
def test_is_pytorchs(bins, size):
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    expected = nn.AdaptiveAvgPool2d(bins)(x)
    found = MatrixAvgPool2d(bins)(x)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_every_size_up_to_forty():
    for height in range(1, 41):
        x = torch.randn(1, 1, height, 41 - height).double()
        expected = nn.AdaptiveAvgPool2d(6)(x)
        torch.testing.assert_close(MatrixAvgPool2d(6)(x), expected)


def test_replaced_wherever_it_is():
    network = nn.Sequential(
        nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.ReLU()),
        nn.AdaptiveMaxPool2d(1),
    )
    replace_pooling(network)
    assert isinstance(network[0][0], MatrixAvgPool2d)
    assert network[0][0].output_size == (2, 2)
    assert isinstance(network[1], nn.AdaptiveMaxPool2d)
