"""Variants of standardized KD, against KDLoss where it can do the same."""

import pytest
import torch

from mmkd.losses import KDLoss
from studies.camvid_400.variants import KDVariant
from tests.reference import pair

OPTIONS = dict(tau=0.5, divergence='BalancedKL')


@pytest.fixture
def maps():
    """Logits and a target with ignored pixels."""
    student, teacher = pair(2, 5, 6, 7)
    target = torch.randint(5, (2, 6, 7), generator=torch.Generator().manual_seed(0))
    target[:, :2] = 255
    return student, teacher, target


@pytest.mark.parametrize(
    ('factor', 'same'),
    [
        ('one', {}),
        ('student', dict(scale_compensated=True)),
        ('mass', dict(class_balanced=True)),
    ],
)
def test_factors_that_kd_loss_has(factor, same, maps):
    variant = KDVariant(factor=factor, **OPTIONS)(*maps)
    loss = KDLoss(standardize=True, **OPTIONS, **same)(*maps)
    torch.testing.assert_close(variant, loss, rtol=1e-6, atol=0)


@pytest.mark.parametrize('factor', ['both', 'confidence', 'class'])
def test_other_factors_change_the_loss(factor, maps):
    student, *rest = maps
    student = student.clone().requires_grad_()
    value = KDVariant(factor=factor, **OPTIONS)(student, *rest)
    value.backward()
    plain = KDVariant(**OPTIONS)(*maps)
    assert value.isfinite()
    assert not torch.isclose(value, plain)
    assert student.grad[:, :, :2].abs().max() == 0  # ignored


def test_one_standard_deviation_for_an_image(maps):
    """A pixel's confidence relative to the image's other pixels is kept."""
    student, teacher, target = maps
    z, _ = KDVariant(over='image').standardized(teacher, target != 255)
    valid = z.permute(0, 2, 3, 1)[:, 2:].flatten(1, 2)
    variance = (valid.square().sum(2) / 4).mean(1)
    torch.testing.assert_close(variance, torch.ones(2, dtype=z.dtype))
    scaled = KDVariant(over='image', **OPTIONS)(3 * student, teacher, target)
    loss = KDVariant(over='image', **OPTIONS)(*maps)
    torch.testing.assert_close(scaled, loss)
