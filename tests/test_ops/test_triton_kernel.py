"""The kernel in Triton's interpreter, which needs no GPU."""

import pytest
import torch
from hypothesis import given, settings

from mmkd.ops import Form, chunked, eager
from tests.reference import pair

from .cases import cases, distance, errors

pytest.importorskip('triton', reason='PyTorch brings it on Linux with CUDA builds')
from mmkd.ops import triton_kernel

few = settings(max_examples=8, deadline=None, derandomize=True)


def mean(student, teacher, counted, size, align_corners, form):
    """The kernel as a loss, so that it goes through the same tests."""

    class Mean(torch.autograd.Function):
        @staticmethod
        def forward(ctx, student):
            total, ctx.gradient = triton_kernel.total_and_gradient(
                student, teacher, counted, size, align_corners, form
            )
            pixels = len(student) * size[0] * size[1]
            ctx.number = pixels if counted is None else counted.sum().clamp(min=1)
            return total / ctx.number

        @staticmethod
        def backward(ctx, grad_output):
            return ctx.gradient / ctx.number * grad_output

    return Mean.apply(student)


@few
@given(case=cases(classes=(3, 4, 19)))
def test_float64(case):
    assert max(errors(mean, case, torch.float64)) < 1e-10


@few
@given(case=cases(scales=(3.0, 30.0), classes=(3, 19, 150)))
def test_float32(case):
    found, slow = (
        errors(f, case, torch.float32) for f in (mean, eager.mean_divergence)
    )
    for one, other in zip(found, slow, strict=True):
        assert one < max(1e-6, 16 * other)


@pytest.mark.parametrize('size', [(1, 1), (2, 7), (64, 40)])
@pytest.mark.parametrize('align_corners', [False, True])
def test_cells_of_any_size(size, align_corners):
    """No pixel between some of the student's, or more than a program takes at once."""
    student, teacher = pair(1, 5, 3, 4)
    args = (
        student,
        teacher,
        None,
        size,
        align_corners,
        Form(2.0, 1.5, 1.3, 0.7, 2.0, True),
    )
    found = triton_kernel.total_and_gradient(*args)
    expected = chunked.total_and_gradient(*args)
    assert max(map(distance, found, expected)) < 1e-12
