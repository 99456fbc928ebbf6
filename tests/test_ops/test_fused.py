from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from torch.autograd import gradcheck, gradgradcheck
from torch.testing import assert_close

from mmkd.functional import (
    adaptive_kl_divergence,
    alpha_beta_divergence,
    entropy_balanced_kl_divergence,
    skew_kl_divergence,
    todi_divergence,
)
from mmkd.losses import KDLoss, ReverseKL
from mmkd.ops import DivergenceOptions, chunked, fused, fused_kd_loss
from mmkd.ops.closed_form import divergence_and_gradient_
from mmkd.ops.fused import eager_kd_loss
from mmkd.ops.upsampling import BLOCK
from tests.divergence_formulas import FORMULAS
from tests.reference import pair, value_and_gradient

from .cases import cases, errors, family_options

BALANCED = DivergenceOptions(
    2.0,
    3.0,
    True,
    keywords=dict(tau_reverse=1.3, forward_weight=0.7, reverse_weight=2.0),
)
quick = settings(max_examples=60, deadline=None, derandomize=True)


@quick
@given(case=cases())
def test_equals_the_eager_loss_in_float64(case):
    value, gradient = errors(fused_kd_loss, case, torch.float64)
    assert value < 1e-12
    assert gradient < (1e-11 if case[3].standardize else 1e-12)


@quick
@given(case=cases(scales=(0.1, 3.0), family=list(FORMULAS)))
def test_other_divergences_equal_the_eager_loss_in_float64(case):
    value, gradient = errors(fused_kd_loss, case, torch.float64)
    assert value < 1e-11
    assert gradient < 1e-10


@quick
@given(case=cases(scales=(3.0, 30.0), family=list(FORMULAS)))
def test_other_divergences_are_as_accurate_in_float32(case):
    found = errors(fused_kd_loss, case, torch.float32)
    eager = errors(eager_kd_loss, case, torch.float32)
    for one, other in zip(found, eager, strict=True):
        assert one < max(2e-6, 16 * other)


@quick
@given(case=cases(scales=(3.0, 30.0)))
def test_is_as_accurate_as_the_eager_loss_in_float32(case):
    """Rounding errors of nearly constant pixels are amplified by 1/std.

    So does cancellation in a divergence that is nearly 0: no tiny logits here, and
    where two confident networks agree both errors are of the same order.
    """
    found = errors(fused_kd_loss, case, torch.float32)
    eager = errors(eager_kd_loss, case, torch.float32)
    for one, other in zip(found, eager, strict=True):
        assert one < max(1e-6, 16 * other)


@pytest.mark.parametrize('limit', [1, 10_000, 1 << 30])
@pytest.mark.parametrize('size', [(4, 6), (23, 31)])
def test_chunks_do_not_matter(limit, size):
    """One row at a time, several, or several images."""
    student, teacher = pair(3, 5, 4, 6)
    mask = torch.rand(3, *size, generator=torch.Generator().manual_seed(0)) > 0.5
    args = student, teacher, size, BALANCED, False, mask
    expected = value_and_gradient(eager_kd_loss, *args)
    kernel = partial(chunked.mean_and_gradient, chunk_bytes=limit)
    found = value_and_gradient(fused_kd_loss, *args, kernel=kernel)
    assert_close(found, expected)


@pytest.mark.parametrize('columns', [2 * BLOCK, 2 * BLOCK + 1])
def test_wide_maps(columns):
    """Maps whose columns are resized in several blocks."""
    student, teacher = pair(1, 3, 2, 5)
    args = student, teacher, (3, columns), BALANCED
    expected = value_and_gradient(eager_kd_loss, *args)
    assert_close(value_and_gradient(fused_kd_loss, *args), expected)


@pytest.mark.parametrize(
    'function', [fused_kd_loss, eager_kd_loss, chunked.mean_and_gradient]
)
def test_corners_are_not_aligned_by_default(function):
    args = *pair(1, 3, 2, 5), (7, 9), BALANCED
    found = [function(*args, *aligned) for aligned in ((), (False,), (True,))]
    values = [result[0] if isinstance(result, tuple) else result for result in found]
    assert values[0] == values[1] != values[2]


def test_mask_and_weight_are_factors():
    logits = pair(1, 3, 2, 5)
    mask = torch.rand(1, 7, 9, generator=torch.Generator().manual_seed(0)) > 0.5
    weight = torch.arange(63.0, dtype=torch.float64).view(1, 7, 9)
    args = *logits, (7, 9), BALANCED, False
    found = chunked.mean_and_gradient(*args, mask, weight)
    assert_close(found, chunked.mean_and_gradient(*args, None, mask * weight))


@pytest.mark.parametrize('standardize', [False, True])
def test_logits_of_any_size_by_default(standardize):
    """They are neither expected to be bounded nor to have finite squares."""
    options, values = DivergenceOptions(standardize=standardize), []
    for scale in (1e3, 1e30):
        student, teacher = (
            scale * chunked.centered(x).flatten(2)
            for x in pair(1, 5, 3, 4, dtype=torch.float32)
        )
        value, gradient = divergence_and_gradient_(student, teacher, options)
        assert gradient.isfinite().all()
        values.append(value if standardize else value / scale)
    assert_close(*values)


def test_constant_pixels_have_no_scale_to_compensate():
    student, teacher = pair(1, 5, 3, 4)
    student[0, :, 0] = 7.0
    args = student, teacher, (3, 4), replace(BALANCED, scale_compensated=True)
    expected = value_and_gradient(eager_kd_loss, *args)
    assert_close(value_and_gradient(fused_kd_loss, *args), expected)


@pytest.mark.parametrize(
    'options',
    [
        DivergenceOptions(),
        BALANCED,
        family_options('alpha-beta', tau=2.0, tau_teacher=3.0, standardize=True),
        family_options('js'),
        family_options('entropy'),
    ],
)
@pytest.mark.parametrize('align_corners', [False, True])
def test_gradients(options, align_corners):
    """The first is saved by the forward; the second is that of the eager loss."""
    student, teacher = pair(1, 3, 2, 3)
    mask = torch.tensor([[[1, 0, 1], [1, 1, 1], [0, 1, 1], [1, 1, 0]]]).bool()
    weight = torch.arange(12.0, dtype=torch.float64).view(1, 4, 3)

    def loss(x):
        return fused_kd_loss(x, teacher, (4, 3), options, align_corners, mask, weight)

    student.requires_grad_()
    saved, eager = (
        torch.autograd.grad(loss(student), student, create_graph=create_graph)
        for create_graph in (False, True)
    )
    assert_close(saved, eager)
    assert gradcheck(loss, student)
    assert gradgradcheck(loss, student)


@pytest.mark.parametrize(
    ('options', 'scale', 'classes'),
    [
        (DivergenceOptions(1.0, 0.1, keywords=dict(reverse_weight=1.0)), 20.0, 5),
        (
            DivergenceOptions(
                0.5, 0.1, True, keywords=dict(tau_reverse=2.0, reverse_weight=0.0)
            ),
            1.0,
            150,
        ),
    ],
)
def test_a_teacher_colder_than_the_student(options, scale, classes, device):
    """Exponentials that overflow at the teacher's temperature alone."""
    student, teacher = (torch.zeros(1, classes, 2, 3) for _ in range(2))
    student[:, 1] = teacher[:, 2] = scale
    case = student, teacher, (4, 6), options, False, None, None
    assert max(errors(fused_kd_loss, case, torch.float32, device)) < 1e-5


@pytest.mark.parametrize('weight', [torch.nan, torch.inf, 1e38])
def test_the_weight_of_an_ignored_pixel_does_not_matter(weight, device):
    student, teacher = pair(1, 5, 4, 4, device=device)
    weights = torch.full_like(student[:, 0], 2.0)
    mask = torch.ones_like(weights).bool()
    mask[0, 1, 2] = False
    for function in (fused_kd_loss, eager_kd_loss):
        args = teacher, (4, 4), BALANCED, False, mask, weights
        weights[~mask] = 2.0
        expected = value_and_gradient(function, student, *args)
        weights[~mask] = weight
        assert_close(value_and_gradient(function, student, *args), expected)


@pytest.mark.parametrize('masked', [False, True])
def test_a_sum_that_overflows(masked, device):
    """The mean is finite."""
    student, teacher = torch.zeros(2, 1, 3, 1, 1)
    student[:, 1] = teacher[:, 2] = 1e36
    mask = torch.ones(1, 30, 40).bool() if masked else None
    case = student, teacher, (30, 40), DivergenceOptions(), False, mask, None
    assert max(errors(fused_kd_loss, case, torch.float32, device)) < 1e-5


def test_refuses_an_empty_batch():
    maps = torch.zeros(1, 5, 3, 3)
    for *args, of in (
        (maps[:0], maps[:0], 'student'),
        (maps[..., :0], maps, 'student'),
        (maps, maps[..., :0], 'teacher'),
    ):
        message = f'^the batch of {of} logits is empty: .*skip empty'
        with pytest.raises(ValueError, match=message):
            fused_kd_loss(*args, (3, 3), DivergenceOptions())


@pytest.mark.parametrize('options', [DivergenceOptions(), BALANCED])
def test_ignored_pixels_get_no_gradient(options, device):
    student, teacher = pair(1, 5, 4, 4, device=device)
    mask = torch.ones_like(student[:, 0]).bool()
    mask[0, 1, 2] = False
    args = teacher, (4, 4), options, False, mask
    _, gradient = value_and_gradient(fused_kd_loss, student, *args)
    assert (gradient[0, :, 1, 2] == 0).all()
    assert (gradient[0, :, 0] != 0).all()
    mask[:] = False
    value, gradient = value_and_gradient(fused_kd_loss, student, *args)
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize(
    'options',
    [
        DivergenceOptions(keywords=dict(reverse_weight=1.0)),
        BALANCED,
        replace(BALANCED, scale_compensated=True),
        *(
            family_options(name, standardize=standardize)
            for name in FORMULAS
            for standardize in (False, True)
        ),
    ],
)
@pytest.mark.parametrize('scale', [1e2, 1e4])
def test_peaked_and_constant_logits(options, scale, device):
    logits = pair(2, 5, 3, 4, dtype=torch.float32, device=device)
    student, teacher = (scale * x.sign() for x in logits)
    student[0, :, 0] = teacher[1, :, 1] = scale
    for size in ((3, 4), (12, 16)):
        args = teacher, size, options
        value, gradient = value_and_gradient(fused_kd_loss, student, *args)
        assert value.isfinite()
        assert gradient.isfinite().all()
    if options.standardize:
        args = teacher, (3, 4), options
        _, gradient = value_and_gradient(fused_kd_loss, student, *args)
        assert (gradient[0, :, 0] == 0).all()


def test_memory_stays_below_the_map():
    """Tensors saved for backward have the size of the logits."""
    student, teacher = pair(1, 19, 8, 16, dtype=torch.float32)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: kept.append(tensor.numel()) or tensor, lambda tensor: tensor
    ):
        fused_kd_loss(student.requires_grad_(), teacher, (64, 128), BALANCED).backward()
    assert max(kept) == student.numel()


@pytest.mark.parametrize('is_cuda', [False, True])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('works', [False, True])
def test_the_kernel_is_for_float32_on_cuda(monkeypatch, is_cuda, dtype, works):
    triton_kernel = pytest.importorskip('mmkd.ops.triton_kernel')
    monkeypatch.setattr(fused, 'triton_works', lambda device: works and device == 'x')
    logits = SimpleNamespace(is_cuda=is_cuda, dtype=dtype, device='x')
    chosen = is_cuda and dtype == torch.float32 and works
    expected = (triton_kernel if chosen else chunked).mean_and_gradient
    assert fused.implementation(logits, BALANCED) is expected


@pytest.mark.parametrize(
    ('function', 'keywords', 'in_kernel'),
    [
        (alpha_beta_divergence, dict(alpha=0.8, beta=0.3), True),
        (alpha_beta_divergence, dict(alpha=0.0, beta=1.0), True),
        (alpha_beta_divergence, dict(alpha=1.2, beta=-0.2), False),
        (alpha_beta_divergence, dict(alpha=0.0, beta=0.0), False),
        (skew_kl_divergence, dict(lam=0.0, reverse=True), True),
        (todi_divergence, {}, True),
        (adaptive_kl_divergence, dict(mu=0.5), False),
        (entropy_balanced_kl_divergence, dict(weight=3.0), False),
    ],
)
def test_divergences_of_the_kernel(monkeypatch, function, keywords, in_kernel):
    triton_kernel = pytest.importorskip('mmkd.ops.triton_kernel')
    monkeypatch.setattr(fused, 'triton_works', lambda device: True)
    logits = SimpleNamespace(is_cuda=True, dtype=torch.float32, device='x')
    options = DivergenceOptions(function=function, keywords=keywords)
    expected = (triton_kernel if in_kernel else chunked).mean_and_gradient
    assert fused.implementation(logits, options) is expected


@pytest.mark.parametrize(
    ('function', 'keywords'),
    [
        (skew_kl_divergence, dict(lam=0.0, reverse=False)),
        (skew_kl_divergence, dict(lam=0.0, reverse=True)),
        *(
            (alpha_beta_divergence, dict(alpha=alpha, beta=beta))
            for alpha, beta in [(1, 0), (0, 1), (0.7, -0.7), (1.2, -0.2), (0, 0)]
        ),
    ],
)
def test_limits_of_divergences(function, keywords):
    options = DivergenceOptions(function=function, keywords=keywords)
    logits = [20 * x if 'lam' in keywords else x for x in pair(1, 5, 3, 4)]
    found, expected = (
        value_and_gradient(f, *logits, (6, 8), options)
        for f in (fused_kd_loss, eager_kd_loss)
    )
    assert_close(found, expected, rtol=1e-9, atol=1e-12)


# KDLoss, which chooses the implementation.

LOSSES = pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(tau=4.0, tau_teacher=2.0, align_corners=True),
        dict(standardize=True, divergence='ReverseKL', loss_weight=3.0),
        dict(
            standardize=True, divergence='BalancedKL', scale_compensated=True, tau=0.5
        ),
        dict(class_balanced=True),
        *(
            dict(divergence=dict(type=kind, **keywords), tau_teacher=2.0)
            for kind, _, keywords in FORMULAS.values()
        ),
        dict(standardize=True, scale_compensated=True, class_balanced=True),
        dict(
            standardize=True,
            divergence=dict(type='BalancedKL', reverse_weight=2.0, tau_reverse=1.5),
        ),
    ],
)


@LOSSES
@pytest.mark.parametrize('resolution', ['tap', 'label'])
def test_kd_loss(options, resolution, device, dtype):
    student, _ = pair(2, 5, 3, 4, dtype=dtype, device=device)
    _, teacher = pair(2, 5, 6, 5, dtype=dtype, device=device)
    target = torch.arange(2 * 12 * 16, device=device).view(2, 12, 16) % 5
    target[:, ::3] = 255
    results = [
        value_and_gradient(
            KDLoss(impl=impl, resolution=resolution, **options),
            student, teacher, target,
        )
        for impl in ('fused', 'eager')
    ]  # fmt: skip
    assert results[0][1].dtype == dtype
    rtol = {torch.bfloat16: 2e-2, torch.float16: 2e-3, torch.float32: 1e-4}
    assert_close(*results, rtol=rtol.get(dtype, 1e-10), atol=1e-5)


class Scaled(ReverseKL):
    """A user-defined divergence."""

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
    with pytest.raises(ValueError, match=f"^impl='fused' is not supp.*: .*{why}"):
        KDLoss(impl='fused', **options)(*args)


class Tenfold(KDLoss):
    """A user-defined loss."""

    def compare(self, *args):
        """Ten times that of its parent."""
        return 10 * super().compare(*args)


def test_an_overridden_step_applies():
    args = pair(2, 5, 3, 4)
    assert_close(Tenfold()(*args), 10 * KDLoss()(*args))


def test_refuses_another_impl():
    with pytest.raises(ValueError, match=r'^impl must be'):
        KDLoss(impl='fast')


def test_refuses_to_standardize_two_classes():
    with pytest.raises(ValueError, match='standardize=False'):
        fused_kd_loss(*pair(1, 2, 3, 3), (3, 3), BALANCED)
