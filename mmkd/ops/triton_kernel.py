"""Mean divergence of two maps and its gradient, as one Triton kernel.

A program processes one cell: the resized pixels between four adjacent pixels of the
student's map. It reads these four pixels once and writes one gradient for each, summed
over the cell.
"""

from contextlib import nullcontext
from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from mmkd.functional.standardize import LARGE as LARGEST_SQUARED

from .chunked import centered
from .closed_form import EPS, DivergenceOptions
from .upsampling import neighbors

LARGE = tl.constexpr(LARGEST_SQUARED)
TILE = 2048  # number of classes times pixels that a program processes at a time


def mean_and_gradient(
    student: Tensor,
    teacher: Tensor,
    size: tuple[int, int],
    options: DivergenceOptions,
    align_corners: bool = False,
    mask: Tensor | None = None,
    weight: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Same as :func:`mmkd.ops.chunked.mean_and_gradient`."""
    if options.standardize:
        student, teacher = centered(student), centered(teacher)
    student, teacher = student.contiguous(), teacher.contiguous()
    number, classes, height, width = student.shape
    kind = align_corners, student.dtype, student.device
    row_starts, *row_tables = resizing_tables(height, size[0], *kind)
    column_starts, *column_tables = resizing_tables(width, size[1], *kind)
    teacher_tables = [
        table
        for length, resized in zip(teacher.shape[2:], size, strict=True)
        for table in resizing_tables(length, resized, *kind)[1:]
    ]
    means = student.new_empty(number, height, width)
    corners = student.new_empty(4, *student.shape)
    temperatures = options.by_temperature()
    block = triton.next_power_of_2(classes)
    on_device = torch.cuda.device(student.device) if student.is_cuda else nullcontext()
    with on_device:
        _cell[(width, height, number)](
            student,
            teacher,
            means if mask is None else mask.contiguous(),
            means if weight is None else weight.contiguous(),
            means,
            corners,
            row_starts,
            column_starts,
            *row_tables,
            *column_tables,
            *teacher_tables,
            classes,
            height,
            width,
            *teacher.shape[2:],
            *size,
            temperatures[0][0],
            1 / options.tau_ratio,
            temperatures[-1][0],
            options.forward_weight,
            options.reverse_weight,
            EPS,
            number * size[0] * size[1],
            HAS_MASK=mask is not None,
            HAS_WEIGHT=weight is not None,
            STANDARDIZE=options.standardize,
            SCALE_COMPENSATED=options.scale_compensated,
            ONE_TAU=len(temperatures) == 1,
            CLASSES=block,
            PIXELS=max(1, TILE // block),
        )
    return means.sum(), sum_corners(corners)


@lru_cache(maxsize=32)
def resizing_tables(
    length: int,
    resized: int,
    align_corners: bool,
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[Tensor, ...]:
    """Return each source pixel's first resized pixel, and :func:`neighbors`."""
    first, second, weight = neighbors(length, resized, align_corners)
    starts = torch.searchsorted(first, torch.arange(length + 1))
    integers = (table.to(device, torch.int32) for table in (starts, first, second))
    return *integers, weight.to(device, dtype)


def sum_corners(corners: Tensor) -> Tensor:
    """Sum the gradients that the adjacent cells contribute to each pixel.

    Args:
        corners: (4, N, C, h, w), for the cell whose upper left corner is a pixel: the
            gradients of that pixel and of its right, lower and lower right neighbors.
            At the border a missing neighbor is the pixel itself.
    """
    gradient, right, lower, lower_right = corners.unbind()
    lower = lower + _shifted(lower_right, 3)
    return gradient + _shifted(right, 3) + _shifted(lower, 2)


def _shifted(values: Tensor, dim: int) -> Tensor:
    """Shift values by one pixel along ``dim``, adding the last two together."""
    last = values.shape[dim] - 1
    result = torch.zeros_like(values)
    result.narrow(dim, 1, last).copy_(values.narrow(dim, 0, last))
    result.narrow(dim, last, 1).add_(values.narrow(dim, last, 1))
    return result


@triton.jit
def _cell(
    student, teacher, mask, weight, means, corners,
    row_starts, column_starts,
    student_y0, student_y1, student_wy, student_x0, student_x1, student_wx,
    teacher_y0, teacher_y1, teacher_wy, teacher_x0, teacher_x1, teacher_wx,
    classes, height, width, teacher_height, teacher_width, rows, columns,
    tau, ratio, tau_reverse, forward_weight, reverse_weight, eps,
    pixels,
    HAS_MASK: tl.constexpr, HAS_WEIGHT: tl.constexpr, STANDARDIZE: tl.constexpr,
    SCALE_COMPENSATED: tl.constexpr, ONE_TAU: tl.constexpr, CLASSES: tl.constexpr,
    PIXELS: tl.constexpr,
):  # fmt: skip
    """Compute a cell's contribution to the mean and the gradients of its corners."""
    column, row, image = (
        tl.program_id(0),
        tl.program_id(1),
        tl.program_id(2).to(tl.int64),
    )
    channel = tl.arange(0, CLASSES)
    real = channel < classes
    below = tl.minimum(row + 1, height - 1)
    right = tl.minimum(column + 1, width - 1)
    plane = student + (image * classes + channel) * height * width
    s00 = tl.load(plane + row * width + column, real, 0)[:, None]
    s01 = tl.load(plane + row * width + right, real, 0)[:, None]
    s10 = tl.load(plane + below * width + column, real, 0)[:, None]
    s11 = tl.load(plane + below * width + right, real, 0)[:, None]
    teacher_plane = (image * classes + channel) * teacher_height * teacher_width
    teacher_plane = (teacher + teacher_plane)[:, None]
    top = tl.load(row_starts + row)
    left = tl.load(column_starts + column)
    across = tl.load(column_starts + column + 1) - left
    number = (tl.load(row_starts + row + 1) - top) * across
    zeros = tl.sum(s00 * 0, 1)
    g00, g01, g10, g11 = zeros, zeros, zeros, zeros
    mean = tl.sum(zeros, 0)
    for start in range(0, number, PIXELS):
        pixel = start + tl.arange(0, PIXELS)
        inside = pixel < number
        y, x = top + pixel // across, left + pixel % across
        wy = tl.load(student_wy + y, inside, 0)[None]
        wx = tl.load(student_wx + x, inside, 0)[None]
        upper = s00 + (s01 - s00) * wx
        s = upper + (s10 + (s11 - s10) * wx - upper) * wy
        every = real[:, None] & inside[None]
        y0 = tl.load(teacher_y0 + y, inside, 0)[None] * teacher_width
        y1 = tl.load(teacher_y1 + y, inside, 0)[None] * teacher_width
        x0 = tl.load(teacher_x0 + x, inside, 0)[None]
        x1 = tl.load(teacher_x1 + x, inside, 0)[None]
        vy = tl.load(teacher_wy + y, inside, 0)[None]
        vx = tl.load(teacher_wx + x, inside, 0)[None]
        t00 = tl.load(teacher_plane + y0 + x0, every, 0)
        t01 = tl.load(teacher_plane + y0 + x1, every, 0)
        t10 = tl.load(teacher_plane + y1 + x0, every, 0)
        t11 = tl.load(teacher_plane + y1 + x1, every, 0)
        upper = t00 + (t01 - t00) * vx
        t = upper + (t10 + (t11 - t10) * vx - upper) * vy
        place = (image * rows + y) * columns + x
        if HAS_MASK:
            inside &= tl.load(mask + place, inside, 0).to(tl.int1)
        value, gradient = _divergence(
            s, t, real[:, None], classes, tau, ratio, tau_reverse,
            forward_weight, reverse_weight, eps, STANDARDIZE, SCALE_COMPENSATED,
            ONE_TAU,
        )  # fmt: skip
        if HAS_WEIGHT:
            pixel_weight = tl.load(weight + place, inside, 0).to(s.dtype)
            value = value * pixel_weight
            gradient = gradient * pixel_weight[None]
        mean += tl.sum(tl.where(inside, value, 0) / pixels, 0)
        gradient = tl.where(real[:, None] & inside[None], gradient, 0)
        g11 += tl.sum(gradient * (wy * wx), 1)
        g10 += tl.sum(gradient * (wy * (1 - wx)), 1)
        g01 += tl.sum(gradient * ((1 - wy) * wx), 1)
        g00 += tl.sum(gradient * ((1 - wy) * (1 - wx)), 1)
    tl.store(means + (image * height + row) * width + column, mean)
    corner = tl.num_programs(2).to(tl.int64) * classes * height * width
    place = ((image * classes + channel) * height + row) * width + column
    tl.store(corners + place, g00, real)
    tl.store(corners + corner + place, g01, real)
    tl.store(corners + 2 * corner + place, g10, real)
    tl.store(corners + 3 * corner + place, g11, real)


@triton.jit
def _divergence(
    s, t, real, classes, tau, ratio, tau_reverse, forward_weight, reverse_weight, eps,
    STANDARDIZE: tl.constexpr, SCALE_COMPENSATED: tl.constexpr, ONE_TAU: tl.constexpr,
):  # fmt: skip
    """Return value and gradient of each pixel; see :mod:`mmkd.ops.closed_form`."""
    if STANDARDIZE:
        s, std, inverse_std = _standardized(s, classes, eps)
        t, _, _ = _standardized(t, classes, eps)
    t = t * ratio
    if ONE_TAU:
        value, gradient = _one_tau(s, t, real, tau, forward_weight, reverse_weight)
    else:
        value, gradient = _one_tau(s, t, real, tau, forward_weight, 0.0)
        reverse_value, reverse_gradient = _one_tau(
            s, t, real, tau_reverse, 0.0, reverse_weight
        )
        value += reverse_value
        gradient += reverse_gradient
    if STANDARDIZE:
        projection = tl.sum(gradient * s, 0) / (std * (classes - 1))
        gradient = gradient * inverse_std[None] - s * projection[None]
    if SCALE_COMPENSATED:
        variance = tl.where(inverse_std == 0, 0, std * std)
        value = value * variance
        gradient = gradient * variance[None]
    return value, gradient


@triton.jit
def _standardized(x, classes, eps):
    """Return centered logits divided by std + eps, the std, and 1 / (std + eps)."""
    variance = tl.sum(x * x, 0) / (classes - 1)
    scale = tl.full(variance.shape, 1, variance.dtype)
    if tl.max(variance, 0) == float('inf'):
        largest = tl.max(tl.abs(x), 0)
        scale = tl.where(largest > LARGE, largest, 1)
        scaled = x / scale[None]
        variance = tl.sum(scaled * scaled, 0) / (classes - 1)
    constant = variance == 0
    std = tl.sqrt(tl.where(constant, 1, variance)) * scale
    inverse_std = tl.where(constant, 0, 1 / (std + eps))
    return x * inverse_std[None], std, inverse_std


@triton.jit
def _one_tau(s, t, real, tau, forward_weight, reverse_weight):
    """Return value and gradient at one temperature."""
    q, log_q = _softmax(s / tau, real)
    p, log_p = _softmax(t / tau, real)
    r = log_q - log_p
    mean_q = tl.sum(q * r, 0)
    value = tau * tau * (reverse_weight * mean_q - forward_weight * tl.sum(p * r, 0))
    gradient = forward_weight * (q - p) + reverse_weight * q * (r - mean_q[None])
    return value, tau * gradient


@triton.jit
def _softmax(x, real):
    """Return probabilities and log-probabilities of the classes, without padding."""
    x = tl.where(real, x, float('-inf'))
    x = x - tl.max(x, 0)[None]
    exponential = tl.exp(x)
    total = tl.sum(exponential, 0)[None]
    return exponential / total, tl.where(real, x - tl.log(total), 0)
