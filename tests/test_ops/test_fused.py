from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from torch.autograd import gradcheck, gradgradcheck
from torch.testing import assert_close

from mmkd.losses import KDLoss, ReverseKL
from mmkd.ops import Form, chunked, eager, mean_divergence
from tests.reference import pair

from .cases import cases, errors, value_and_gradient

FORM = Form(2.0, 1.5, 1.3, 0.7, 2.0, standardize=True)
quick = settings(max_examples=60, deadline=None, derandomize=True)


@quick
@given(case=cases())
def test_equals_the_slow_path_in_float64(case):
    value, gradient = errors(mean_divergence, case, torch.float64)
    assert value < 1e-12
    assert gradient < 1e-11 if case[-1].standardize else gradient < 1e-12


@quick
@given(case=cases(scales=(3.0, 30.0)))
def test_is_as_near_as_the_slow_path_in_float32(case):
    """Where pixels are nearly constant, 1/std magnifies the rounding of either.

    So does the cancelling sum of a divergence that is nearly 0: no tiny logits here,
    and where two sure networks agree both paths are off by the same order.
    """
    found = errors(mean_divergence, case, torch.float32)
    slow = errors(eager.mean_divergence, case, torch.float32)
    for one, other in zip(found, slow, strict=True):
        assert one < max(1e-6, 16 * other)


@pytest.mark.parametrize('limit', [1, 10_000, 1 << 30])
@pytest.mark.parametrize('size', [(4, 6), (23, 31)])
def test_chunks_do_not_matter(monkeypatch, limit, size):
    """One row at a time, several, or several images."""
    student, teacher = pair(3, 5, 4, 6)
    counted = torch.rand(3, *size, generator=torch.Generator().manual_seed(0)) > 0.5
    args = student, teacher, counted, size, False, FORM
    expected = value_and_gradient(eager.mean_divergence, *args)
    monkeypatch.setattr(chunked, 'CPU_BYTES', limit)
    assert_close(value_and_gradient(mean_divergence, *args), expected)


@pytest.mark.parametrize('form', [Form(), FORM])
@pytest.mark.parametrize('align_corners', [False, True])
def test_gradients(form, align_corners):
    """The first is kept from the forward; the second comes from the slow path."""
    student, teacher = pair(1, 3, 2, 3)
    counted = torch.tensor([[[1, 0, 1], [1, 1, 1], [0, 1, 1], [1, 1, 0]]]).bool()

    def loss(x):
        return mean_divergence(x, teacher, counted, (4, 3), align_corners, form)

    student.requires_grad_()
    assert gradcheck(loss, student)
    assert gradgradcheck(loss, student)


@pytest.mark.parametrize('form', [Form(), FORM])
def test_ignored_pixels_get_exactly_nothing(form):
    student, teacher = pair(1, 5, 4, 4)
    counted = torch.ones(1, 4, 4).bool()
    counted[0, 1, 2] = False
    args = teacher, counted, (4, 4), False, form
    _, gradient = value_and_gradient(mean_divergence, student, *args)
    assert (gradient[0, :, 1, 2] == 0).all()
    assert (gradient[0, :, 0] != 0).all()
    counted[:] = False
    value, gradient = value_and_gradient(mean_divergence, student, *args)
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize(
    'form', [Form(reverse_weight=1.0), FORM, replace(FORM, effective_tau=True)]
)
@pytest.mark.parametrize('scale', [1e2, 1e4])
def test_peaked_and_constant_logits(form, scale):
    student, teacher = (scale * torch.sign(x).float() for x in pair(2, 5, 3, 4))
    student[0, :, 0] = teacher[1, :, 1] = scale
    for size in ((3, 4), (12, 16)):
        args = teacher, None, size, False, form
        value, gradient = value_and_gradient(mean_divergence, student, *args)
        assert value.isfinite()
        assert gradient.isfinite().all()
    if form.standardize:
        args = teacher, None, (3, 4), False, form
        _, gradient = value_and_gradient(mean_divergence, student, *args)
        assert (gradient[0, :, 0] == 0).all()


def test_memory_stays_below_the_map():
    """What is kept for backward is of the size of the logits."""
    student, teacher = pair(1, 19, 8, 16, dtype=torch.float32)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: kept.append(tensor.numel()) or tensor, lambda tensor: tensor
    ):
        mean_divergence(
            student.requires_grad_(), teacher, None, (64, 128), False, FORM
        ).backward()
    assert max(kept) == student.numel()


# KDLoss, which chooses.

LOSSES = pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(tau=4.0, tau_teacher=2.0),
        dict(standardize=True, divergence='ReverseKL', loss_weight=3.0),
        dict(standardize=True, divergence='BalancedKL', effective_tau=True, tau=0.5),
        dict(balance_classes=True),
        dict(standardize=True, effective_tau=True, balance_classes=True),
        dict(
            standardize=True,
            divergence=dict(type='BalancedKL', reverse_weight=2.0, tau_reverse=1.5),
        ),
    ],
)


@LOSSES
@pytest.mark.parametrize('resolution', ['tap', 'label'])
@pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
def test_kd_loss(options, resolution, dtype):
    (student, _), (_, teacher) = pair(2, 5, 3, 4), pair(2, 5, 6, 5)
    student, teacher = student.to(dtype), teacher.to(dtype)
    target = torch.arange(2 * 12 * 16).view(2, 12, 16) % 5
    target[:, ::3] = 255
    results = [
        value_and_gradient(
            KDLoss(impl=impl, resolution=resolution, **options),
            student, teacher, target,
        )
        for impl in ('fused', 'eager')
    ]  # fmt: skip
    assert results[0][1].dtype == dtype
    assert_close(*results, rtol=2e-2 if dtype == torch.bfloat16 else 1e-10, atol=1e-5)


class Scaled(ReverseKL):
    """A divergence of one's own."""

    def forward(self, *args):
        """Twice that of its parent."""
        return 2 * super().forward(*args)


@pytest.mark.parametrize(
    ('options', 'shape', 'why'),
    [
        (dict(), (2, 5), 'vectors'),
        (dict(divergence=Scaled()), (2, 5, 3, 4), 'Scaled'),
    ],
)
def test_auto_falls_back(options, shape, why):
    args = pair(*shape)
    expected = KDLoss(impl='eager', **options)(*args)
    assert KDLoss(**options)(*args) == expected
    with pytest.raises(ValueError, match=f"^impl='fused' does not apply: .*{why}"):
        KDLoss(impl='fused', **options)(*args)


class Tenfold(KDLoss):
    """A loss of one's own."""

    def compare(self, *args):
        """Ten times that of its parent."""
        return 10 * super().compare(*args)


def test_a_subclass_keeps_its_own_steps():
    args = pair(2, 5, 3, 4)
    assert_close(Tenfold()(*args), 10 * KDLoss()(*args))


def test_refuses_another_impl():
    with pytest.raises(ValueError, match=r'^impl must be'):
        KDLoss(impl='fast')


def test_refuses_to_standardize_two_classes():
    args = *pair(1, 2, 3, 3), None, (3, 3), False, FORM
    with pytest.raises(ValueError, match='standardize=False'):
        mean_divergence(*args)
