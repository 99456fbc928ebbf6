import math

import pytest
import torch
from scipy.stats import zscore as scipy_zscore
from torch.autograd import gradcheck
from torch.testing import assert_close

from mmkd.functional import standardize
from mmkd.functional.standardize import zscore
from tests.reference import computed_in, pair

CLASSES = pytest.mark.parametrize('classes', [3, 19, 150])


def logits(*shape, **options):
    return pair(*shape, **options)[0]


def half_of(*shape):
    """A mask of every other entry, roughly."""
    return pair(*shape)[1] > 1


@pytest.mark.parametrize('shape', [(4, 3), (2, 19, 3, 5), (2, 150, 1, 1)])
@pytest.mark.parametrize('dim', [1, 0, -1])
def test_equals_scipy(shape, dim, device):
    x = logits(*shape, device=device).transpose(
        1, dim
    )  # not contiguous, classes along dim
    expected = scipy_zscore(x.cpu().numpy(), axis=dim, ddof=1)
    assert_close(standardize(x, dim, eps=0).cpu().numpy(), expected)


def test_eps_is_added_to_the_standard_deviation():
    x = logits(4, 19)
    std = x.std(1, keepdim=True)
    assert_close(standardize(x, eps=0.5) * (std + 0.5), x - x.mean(1, keepdim=True))
    assert_close(standardize(x), standardize(x, 1, 1e-7), rtol=0, atol=0)


@CLASSES
def test_four_properties(classes):
    x = logits(20, classes)
    x[0] = 0
    x[0, 1] = 100  # one peak reaches the bound
    bound = (classes - 1) / math.sqrt(classes)
    z = standardize(x)
    assert_close(z.mean(1), torch.zeros(20).double(), rtol=0, atol=1e-12)
    assert_close(z.std(1), torch.ones(20).double(), rtol=0, atol=1e-6)
    assert z.abs().max() <= bound
    assert_close(z[0, 1].item(), bound, rtol=1e-6, atol=0)
    assert torch.equal(z[1:].argsort(1), x[1:].argsort(1))


@pytest.mark.parametrize(('scale', 'shift'), [(1, 7), (0.1, 0), (30, -200)])
def test_independent_of_scale_and_shift(scale, shift):
    x = logits(4, 19)
    assert_close(standardize(scale * x + shift), standardize(x), rtol=1e-5, atol=0)


@pytest.mark.parametrize('classes', [1, 2])
def test_refuses_fewer_than_three_classes(classes):
    with pytest.raises(ValueError, match='standardize=False'):
        standardize(logits(4, classes, 5, 5))
    with pytest.raises(ValueError, match=r'dim -1.*\(4, 5, 2\)'):
        standardize(logits(4, 5, 2), dim=-1)


@pytest.mark.parametrize('classes', [19, 150])
@pytest.mark.parametrize('constant', [1e4, 0.1, 0.0, -3.3])
def test_constant_pixel(classes, constant, device):
    x = logits(1, classes, 2, 2, dtype=torch.float32, device=device)
    x[..., 0, 0] = constant
    x.requires_grad_()
    z = standardize(x)
    z.backward(torch.arange(z.numel()).view_as(z).sqrt().to(device))
    for values in (z, x.grad):
        assert values.isfinite().all()
        assert (values[..., 0, 0] == 0).all()
        assert (values[..., 1, 1] != 0).all()


@CLASSES
def test_huge_logits(classes, device):
    x = torch.full((2, classes), -1e4, device=device)
    x[:, 0] = 1e4
    x.requires_grad_()
    z = standardize(x)
    assert_close(z.double(), standardize(x.double()), rtol=1e-5, atol=0)
    z.square().sum().backward()
    assert x.grad.isfinite().all()


def test_half_precision_is_computed_in_float32(device, dtype):
    expected = computed_in(dtype)
    # The squares leave float16's range.
    x = 100 * logits(2, 19, dtype=dtype, device=device)
    z = standardize(x)
    assert z.dtype == expected
    assert_close(z, standardize(x.to(expected)), rtol=0, atol=0)


def test_refuses_integers():
    with pytest.raises(TypeError, match='int64'):
        standardize(torch.arange(6).view(2, 3))


@pytest.mark.parametrize('dim', [1, -1])
def test_gradient(dim):
    x = logits(2, 5, 3).requires_grad_()
    assert gradcheck(lambda x: standardize(x, dim), x)


def test_zscore_over_valid_entries():
    x = logits(4, 19)
    mask = half_of(4, 19)
    z = zscore(x, 1, eps=0, mask=mask)
    for row, valid, values in zip(z, mask, x, strict=True):
        assert_close(row[valid].numpy(), scipy_zscore(values[valid].numpy(), ddof=1))
        assert (row[~valid] == 0).all()


def test_zscore_of_a_broadcast_mask():
    x = logits(2, 3, 10)
    mask = half_of(2, 1, 10)
    expected = zscore(x, 2, mask=mask.repeat(1, 3, 1))
    assert_close(zscore(x, 2, mask=mask), expected, rtol=0, atol=0)
    assert expected.abs().sum() > 0


def test_gradient_of_zscore_over_valid_entries():
    x = logits(3, 6).requires_grad_()
    mask = torch.tensor([[1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 1, 0], [0] * 6]).bool()
    assert gradcheck(lambda x: zscore(x, 1, mask=mask), x)
    zscore(x, 1, mask=mask).square().sum().backward()
    assert (x.grad[~mask] == 0).all()


@pytest.mark.parametrize('number', [0, 1])
def test_zscore_of_none_or_one_is_zero(number):
    x = logits(2, 6).requires_grad_()
    z = zscore(x, 1, mask=torch.arange(6) < number)
    assert (z == 0).all()
    z.sum().backward()
    assert (x.grad == 0).all()
