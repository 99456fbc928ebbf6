"""The kernel in Triton's interpreter, which needs no GPU."""

import pytest
import torch
from hypothesis import given, settings

from mmkd.ops import DivergenceOptions, chunked
from mmkd.ops.fused import FusedKDLoss, eager_kd_loss
from tests.reference import pair

from .cases import cases, distance, errors

pytest.importorskip('triton', reason='PyTorch brings it on Linux with CUDA builds')
from mmkd.ops import fused, triton_kernel

few = settings(max_examples=8, deadline=None, derandomize=True)


def triton_kd_loss(student, teacher, size, options, align_corners, mask, weight):
    """The fused loss by the kernel, so that it passes the same tests."""
    with pytest.MonkeyPatch.context() as patch:
        kernel = triton_kernel.mean_and_gradient
        patch.setattr(fused, 'implementation', lambda student: kernel)
        return FusedKDLoss.apply(
            student, teacher, mask, weight, size, options, align_corners
        )


@few
@given(case=cases(classes=(3, 4, 19)))
def test_float64(case):
    assert max(errors(triton_kd_loss, case, torch.float64)) < 1e-10


@few
@given(case=cases(scales=(3.0, 30.0), classes=(3, 19, 150)))
def test_float32(case):
    found, eager = (
        errors(f, case, torch.float32) for f in (triton_kd_loss, eager_kd_loss)
    )
    for one, other in zip(found, eager, strict=True):
        assert one < max(1e-6, 16 * other)


@pytest.mark.parametrize('size', [(1, 1), (2, 7), (64, 40)])
@pytest.mark.parametrize('align_corners', [False, True])
def test_cells_of_any_size(size, align_corners):
    """No pixel between some of the student's, or more than a program's tile."""
    options = DivergenceOptions(
        2.0, 3.0, True, tau_reverse=1.3, forward_weight=0.7, reverse_weight=2.0
    )
    args = *pair(1, 5, 3, 4), size, options, align_corners
    found = triton_kernel.mean_and_gradient(*args)
    expected = chunked.mean_and_gradient(*args)
    assert max(map(distance, found, expected)) < 1e-12
