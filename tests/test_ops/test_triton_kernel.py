"""The kernel: on a GPU where there is one, otherwise in Triton's interpreter."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings

from mmkd.ops import DivergenceOptions, chunked, fused_kd_loss
from mmkd.ops.fused import eager_kd_loss
from tests.divergence_formulas import FORMULAS
from tests.reference import pair, value_and_gradient

from .cases import KERNEL_DEVICE, cases, distance, errors, family_options

pytest.importorskip('triton', reason='PyTorch brings it on Linux with CUDA builds')
from mmkd.ops import triton_kernel

FAMILY = sorted(set(FORMULAS) - {'adaptive', 'entropy'})  # of the kernel
SMALL = dict(side=4, length=12)  # a program of the interpreter takes milliseconds
few = settings(max_examples=8, deadline=None, derandomize=True)
triton_kd_loss = partial(fused_kd_loss, kernel=triton_kernel.mean_and_gradient)


@pytest.mark.skipif(KERNEL_DEVICE == 'cuda', reason='scalars are float32 on a GPU')
@few
@given(case=cases(classes=(3, 4, 19), **SMALL))
def test_float64(case):
    assert max(errors(triton_kd_loss, case, torch.float64)) < 1e-10


@few
@given(case=cases(scales=(3.0, 30.0), classes=(3, 19, 150), **SMALL))
def test_float32(case):
    found, eager = (
        errors(f, case, torch.float32, KERNEL_DEVICE)
        for f in (triton_kd_loss, eager_kd_loss)
    )
    for one, other in zip(found, eager, strict=True):
        assert one < max(1e-6, 16 * other)


@pytest.mark.skipif(KERNEL_DEVICE == 'cuda', reason='scalars are float32 on a GPU')
@pytest.mark.parametrize('name', FAMILY)
@pytest.mark.parametrize('standardize', [False, True])
@pytest.mark.parametrize('scale', [1e-3, 1.0, 10.0])
def test_other_divergences_in_float64(name, standardize, scale):
    logits = [scale * x for x in pair(2, 5, 2, 2, device=KERNEL_DEVICE)]
    options = family_options(name, tau=2.0, tau_teacher=3.0, standardize=standardize)
    found, expected = (
        value_and_gradient(f, *logits, (3, 4), options)
        for f in (triton_kd_loss, eager_kd_loss)
    )
    assert max(map(distance, found, expected)) < 1e-9


@few
@given(case=cases(scales=(0.1, 3.0), classes=(3, 19), family=FAMILY, **SMALL))
def test_other_divergences_in_float32(case):
    """Cancellation in a divergence that is nearly 0 amplifies rounding errors."""
    found, eager = (
        errors(f, case, torch.float32, KERNEL_DEVICE)
        for f in (triton_kd_loss, eager_kd_loss)
    )
    for one, other in zip(found, eager, strict=True):
        assert one < max(1e-5, 16 * other)


@pytest.mark.parametrize('size', [(1, 1), (2, 7), (40, 32)])
@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('launch', [None, triton_kernel.Launch(64, 1, chunk=2)])
def test_cells_of_any_size(size, align_corners, launch):
    """No pixel between some of the student's, or more than a program's tile."""
    options = DivergenceOptions(
        2.0,
        3.0,
        True,
        keywords=dict(tau_reverse=1.3, forward_weight=0.7, reverse_weight=2.0),
    )
    dtype = torch.float64 if KERNEL_DEVICE == 'cpu' else torch.float32
    logits = pair(1, 5, 3, 4, dtype=dtype, device=KERNEL_DEVICE)
    args = *logits, size, options, align_corners
    found = triton_kernel.mean_and_gradient(*args, launch=launch)
    expected = chunked.mean_and_gradient(*args)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    assert max(map(distance, found, expected)) < tolerance


@pytest.mark.parametrize('launch', triton_kernel.LAUNCHES)
@pytest.mark.parametrize('standardize', [False, True])
def test_every_launch(launch, standardize):
    """Fused equals eager; one class at a time, as on a GPU."""
    logits = pair(1, 5, 2, 2, dtype=torch.float32, device=KERNEL_DEVICE)
    options = DivergenceOptions(
        0.5, standardize=standardize, keywords=dict(reverse_weight=1.0)
    )
    kernel = partial(triton_kernel.mean_and_gradient, launch=launch)
    fused = value_and_gradient(
        partial(fused_kd_loss, kernel=kernel), *logits, (16, 16), options
    )
    eager = value_and_gradient(eager_kd_loss, *logits, (16, 16), options)
    assert max(map(distance, fused, eager)) < 2e-6


@pytest.mark.filterwarnings('ignore:overflow:RuntimeWarning')
@pytest.mark.parametrize('size', [1e4, 1e30])
def test_large_logits(size):
    """Also if their squares overflow."""
    student, teacher = pair(1, 5, 2, 2, dtype=torch.float32, device=KERNEL_DEVICE)
    options = DivergenceOptions(
        0.5, standardize=True, keywords=dict(reverse_weight=1.0)
    )
    one, large = (
        triton_kernel.mean_and_gradient(
            factor * student, factor * teacher, (8, 8), options
        )
        for factor in (1, size)
    )
    assert distance(large[0], one[0]) < 1e-5
    assert distance(large[1] * size, one[1]) < 1e-5
