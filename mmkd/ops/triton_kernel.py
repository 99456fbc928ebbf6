"""Mean divergence of two maps and its gradient, as one Triton kernel.

A program processes one cell: the resized pixels between four adjacent pixels of the
student's map. It writes one gradient for each of these four, summed over the cell.
"""

from contextlib import nullcontext
from functools import lru_cache
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from mmkd.functional.standardize import LARGE as LARGEST_SQUARED

from .chunked import centered
from .closed_form import EPS, DivergenceOptions
from .triton_terms import terms_of_classes
from .upsampling import neighbors

LARGE = tl.constexpr(LARGEST_SQUARED)


class Launch(NamedTuple):
    """Division of a cell into tiles of a program.

    ``benchmarks/kernel.py`` prints the registers of each.
    """

    pixels: int  # at a time
    num_warps: int
    chunk: int = 1  # classes at a time


# The first is used where none is measured: 64 pixels are a cell at an eighth of the
# resolution. None spills registers.
LAUNCHES = Launch(64, 1), Launch(32, 1), Launch(128, 4)

# Names of the tables of :func:`resizing_tables`.
TABLES = [
    f'{network}_{name}_ptr'
    for network in ('student', 'teacher')
    for name in ('y0', 'y1', 'wy', 'x0', 'x1', 'wx')
]


def mean_and_gradient(
    student: Tensor,
    teacher: Tensor,
    size: tuple[int, int],
    options: DivergenceOptions,
    align_corners: bool = False,
    mask: Tensor | None = None,
    weight: Tensor | None = None,
    launch: Launch | None = None,
) -> tuple[Tensor, Tensor]:
    """Same as :func:`mmkd.ops.chunked.mean_and_gradient`.

    ``launch`` is by default the fastest of ``LAUNCHES``, measured at the first call
    with a number of classes and a size; the first of them for deterministic algorithms,
    as sums differ by rounding, and without a GPU.
    """
    if options.standardize:
        student, teacher = centered(student), centered(teacher)
    student, teacher = student.contiguous(), teacher.contiguous()
    number, classes, height, width = student.shape
    kind = align_corners, student.dtype, student.device
    row_starts, *row_tables = resizing_tables(height, size[0], *kind)
    column_starts, *column_tables = resizing_tables(width, size[1], *kind)
    teacher_rows = resizing_tables(teacher.shape[2], size[0], *kind)[1:]
    teacher_columns = resizing_tables(teacher.shape[3], size[1], *kind)[1:]
    tables = *row_tables, *column_tables, *teacher_rows, *teacher_columns
    means = student.new_empty(number, height, width)
    corners = student.new_empty(4, *student.shape)
    kernel = _cell
    if launch is None and not student.is_cuda:
        # Triton's interpreter is slow in loops.
        launch = LAUNCHES[0]._replace(chunk=triton.next_power_of_2(classes))
    elif launch is None and torch.are_deterministic_algorithms_enabled():
        launch = LAUNCHES[0]
    elif launch is None:
        kernel = _tuned_cell
    on_device = torch.cuda.device(student.device) if student.is_cuda else nullcontext()
    parts = []
    for kind_of_divergence, tau, first, second in options.kernel_launches():
        with on_device:
            kernel[width, height, number](
                student_ptr=student,
                teacher_ptr=teacher,
                mask_ptr=means if mask is None else mask.contiguous(),
                weight_ptr=means if weight is None else weight.contiguous(),
                mean_ptr=means,
                corner_ptr=corners,
                row_start_ptr=row_starts,
                column_start_ptr=column_starts,
                **dict(zip(TABLES, tables, strict=True)),
                classes=classes,
                height=height,
                width=width,
                teacher_height=teacher.shape[2],
                teacher_width=teacher.shape[3],
                rows=size[0],
                columns=size[1],
                pixels=number * size[0] * size[1],
                tau=float(tau),
                ratio=1 / options.tau_ratio,
                parameter_1=float(first),
                parameter_2=float(second),
                eps=EPS,
                HAS_MASK=mask is not None,
                HAS_WEIGHT=weight is not None,
                STANDARDIZE=options.standardize,
                SCALE_COMPENSATED=options.scale_compensated,
                KIND=kind_of_divergence,
                **(arguments(launch) if launch else {}),
            )
        parts.append((means.sum(), sum_corners(corners)))
    if len(parts) == 1:
        return parts[0]
    (mean, gradient), (reverse_mean, reverse_gradient) = parts
    return mean + reverse_mean, gradient + reverse_gradient


def arguments(launch: Launch) -> dict[str, int]:
    """Return a launch as arguments of the kernel."""
    pixels, num_warps, chunk = launch
    return dict(PIXELS=pixels, CHUNK=chunk, num_warps=num_warps)


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
    student_ptr, teacher_ptr, mask_ptr, weight_ptr, mean_ptr, corner_ptr,
    row_start_ptr, column_start_ptr,
    student_y0_ptr, student_y1_ptr, student_wy_ptr,
    student_x0_ptr, student_x1_ptr, student_wx_ptr,
    teacher_y0_ptr, teacher_y1_ptr, teacher_wy_ptr,
    teacher_x0_ptr, teacher_x1_ptr, teacher_wx_ptr,
    classes, height, width, teacher_height, teacher_width, rows, columns, pixels,
    tau, ratio, parameter_1, parameter_2, eps,
    HAS_MASK: tl.constexpr, HAS_WEIGHT: tl.constexpr, STANDARDIZE: tl.constexpr,
    SCALE_COMPENSATED: tl.constexpr, KIND: tl.constexpr,
    PIXELS: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """Compute a cell's contribution to the mean and the gradients of its corners.

    A lane has a pixel. Nothing of a class is kept: each loop over the classes, CHUNK at
    a time, computes the logits anew, so that registers do not depend on C.
    """
    column, row = tl.program_id(0), tl.program_id(1)
    image = tl.program_id(2).to(tl.int64)
    student_plane, teacher_plane = height * width, teacher_height * teacher_width
    student_ptr += image * classes * student_plane
    teacher_ptr += image * classes * teacher_plane
    # Offsets of the student's four pixels in a class's map; all pixels share them.
    upper, lower = row * width, tl.minimum(row + 1, height - 1) * width
    right = tl.minimum(column + 1, width - 1)
    s00, s01, s10, s11 = upper + column, upper + right, lower + column, lower + right
    corner_ptr += image * classes * student_plane + s00
    corner_size = tl.num_programs(2).to(tl.int64) * classes * student_plane
    # The cell's rectangle of resized pixels. It can be empty.
    top = tl.load(row_start_ptr + row)
    left = tl.load(column_start_ptr + column)
    across = tl.maximum(tl.load(column_start_ptr + column + 1) - left, 1)
    number = tl.load(row_start_ptr + row + 1) - top
    number *= tl.load(column_start_ptr + column + 1) - left
    mean = tl.zeros((PIXELS,), student_ptr.dtype.element_ty)
    for start in range(0, tl.maximum(number, 1), PIXELS):
        pixel = start + tl.arange(0, PIXELS)
        inside = pixel < number
        y, x = top + pixel // across, left + pixel % across
        place = (image * rows + y) * columns + x
        wy = tl.load(student_wy_ptr + y, inside, 0)
        wx = tl.load(student_wx_ptr + x, inside, 0)
        teacher_wy = tl.load(teacher_wy_ptr + y, inside, 0)
        teacher_wx = tl.load(teacher_wx_ptr + x, inside, 0)
        # Offsets of each pixel's four pixels of the teacher.
        y0 = tl.load(teacher_y0_ptr + y, inside, 0) * teacher_width
        y1 = tl.load(teacher_y1_ptr + y, inside, 0) * teacher_width
        x0 = tl.load(teacher_x0_ptr + x, inside, 0)
        x1 = tl.load(teacher_x1_ptr + x, inside, 0)
        t00, t01, t10, t11 = y0 + x0, y0 + x1, y1 + x0, y1 + x1
        if HAS_MASK:
            inside &= tl.load(mask_ptr + place, inside, 0).to(tl.int1)
        zero = wy * 0
        factor = zero + 1
        if HAS_WEIGHT:
            factor = tl.load(weight_ptr + place, inside, 0).to(wy.dtype)

        # Loop 1: the largest logits, and the scale 1 / ((std + eps) tau).
        largest_s, largest_t = zero - float('inf'), zero - float('inf')
        squares_s, squares_t = zero, zero
        for first in range(0, classes, CHUNK):
            s, t, real = _logits(
                first, classes, student_ptr, student_plane, s00, s01, s10, s11, wy, wx,
                teacher_ptr, teacher_plane, t00, t01, t10, t11, teacher_wy, teacher_wx,
                CHUNK,
            )  # fmt: skip
            known_s = tl.where(real, s, float('-inf'))
            known_t = tl.where(real, t, float('-inf'))
            largest_s = tl.maximum(largest_s, tl.max(known_s, 0))
            largest_t = tl.maximum(largest_t, tl.max(known_t, 0))
            squares_s += tl.sum(s * s, 0)
            squares_t += tl.sum(t * t, 0)
        scale_s, scale_t = (zero + 1) / tau, (zero + ratio) / tau
        std_s = zero + 1
        if STANDARDIZE:
            # Squares of logits divided by the unit, the largest if squares overflow.
            unit_s, unit_t = zero + 1, zero + 1
            if tl.max(squares_s + squares_t, 0) == float('inf'):
                for first in range(0, classes, CHUNK):
                    s, t, real = _logits(
                        first, classes,
                        student_ptr, student_plane, s00, s01, s10, s11, wy, wx,
                        teacher_ptr, teacher_plane, t00, t01, t10, t11,
                        teacher_wy, teacher_wx, CHUNK,
                    )  # fmt: skip
                    unit_s = tl.maximum(unit_s, tl.max(tl.abs(s), 0))
                    unit_t = tl.maximum(unit_t, tl.max(tl.abs(t), 0))
                unit_s = tl.where(unit_s > LARGE, unit_s, 1)
                unit_t = tl.where(unit_t > LARGE, unit_t, 1)
                squares_s, squares_t = zero, zero
                for first in range(0, classes, CHUNK):
                    s, t, real = _logits(
                        first, classes,
                        student_ptr, student_plane, s00, s01, s10, s11, wy, wx,
                        teacher_ptr, teacher_plane, t00, t01, t10, t11,
                        teacher_wy, teacher_wx, CHUNK,
                    )  # fmt: skip
                    squares_s += tl.sum(s / unit_s * (s / unit_s), 0)
                    squares_t += tl.sum(t / unit_t * (t / unit_t), 0)
            std_s, inverse_s = _deviation(squares_s, unit_s, classes, eps)
            _std_t, inverse_t = _deviation(squares_t, unit_t, classes, eps)
            scale_s *= inverse_s
            scale_t *= inverse_t
            if SCALE_COMPENSATED:
                factor *= tl.where(inverse_s == 0, 0, std_s * std_s)

        # Loop 2: logarithms of the softmaxes' denominators.
        total_s, total_t = zero, zero
        for first in range(0, classes, CHUNK):
            s, t, real = _logits(
                first, classes, student_ptr, student_plane, s00, s01, s10, s11, wy, wx,
                teacher_ptr, teacher_plane, t00, t01, t10, t11, teacher_wy, teacher_wx,
                CHUNK,
            )  # fmt: skip
            exp_s = tl.exp((s - largest_s) * scale_s)
            exp_t = tl.exp((t - largest_t) * scale_t)
            total_s += tl.sum(tl.where(real, exp_s, 0), 0)
            total_t += tl.sum(tl.where(real, exp_t, 0), 0)
        total_s, total_t = tl.log(total_s), tl.log(total_t)

        # Loop 3: the value L, H = sum_c h_c and P = sum_c (h_c - q_c H) z_c / tau, with
        # the standardized logits z = scale tau s.
        value, sum_h, sum_h_z, sum_q_z = zero, zero, zero, zero
        for first in range(0, classes, CHUNK):
            s, t, real = _logits(
                first, classes, student_ptr, student_plane, s00, s01, s10, s11, wy, wx,
                teacher_ptr, teacher_plane, t00, t01, t10, t11, teacher_wy, teacher_wx,
                CHUNK,
            )  # fmt: skip
            log_q, q = _softmax(s, real, largest_s, scale_s, total_s)
            log_p, p = _softmax(t, real, largest_t, scale_t, total_t)
            term, h = terms_of_classes(
                log_q, log_p, q, p, real, parameter_1, parameter_2, KIND
            )
            value += tl.sum(term, 0)
            sum_h += tl.sum(h, 0)
            if STANDARDIZE:
                sum_h_z += tl.sum(h * (s * scale_s), 0)
                sum_q_z += tl.sum(q * (s * scale_s), 0)
        mean += tl.where(inside, tau * tau * value * factor, 0) / pixels
        projection = sum_h_z - sum_h * sum_q_z
        projection *= tau * tau * tau * factor / ((classes - 1) * std_s)

        # Loop 4: the gradient of tau^2 L by the logits, tau^2 scale (h - q H), and
        # through the standardization minus z tau^2 P / ((C - 1) std).
        gradient_scale = tau * tau * scale_s * factor
        for first in range(0, classes, CHUNK):
            s, t, real = _logits(
                first, classes, student_ptr, student_plane, s00, s01, s10, s11, wy, wx,
                teacher_ptr, teacher_plane, t00, t01, t10, t11, teacher_wy, teacher_wx,
                CHUNK,
            )  # fmt: skip
            log_q, q = _softmax(s, real, largest_s, scale_s, total_s)
            log_p, p = _softmax(t, real, largest_t, scale_t, total_t)
            term, h = terms_of_classes(
                log_q, log_p, q, p, real, parameter_1, parameter_2, KIND
            )
            gradient = gradient_scale * (h - q * sum_h)
            if STANDARDIZE:
                gradient -= projection * (s * scale_s)
            gradient = tl.where(inside, gradient, 0)
            # Each pixel's gradient is shared by the four corners as in the resizing.
            gradient_0, gradient_1 = gradient * (1 - wy), gradient * wy
            channel = first + tl.arange(0, CHUNK)
            exists = channel < classes
            at = corner_ptr + channel.to(tl.int64) * student_plane
            _add(at, gradient_0 * (1 - wx), exists, start)
            _add(at + corner_size, gradient_0 * wx, exists, start)
            _add(at + 2 * corner_size, gradient_1 * (1 - wx), exists, start)
            _add(at + 3 * corner_size, gradient_1 * wx, exists, start)
        tl.debug_barrier()  # before the next tile reads these gradients
    mean_ptr += image * student_plane + s00
    tl.store(mean_ptr, tl.sum(mean, 0))


_tuned_cell = triton.autotune(
    [
        triton.Config(dict(PIXELS=pixels, CHUNK=chunk), num_warps=num_warps)
        for pixels, num_warps, chunk in LAUNCHES
    ],
    key=['classes', 'height', 'rows', 'STANDARDIZE', 'KIND'],
)(_cell)


@triton.jit
def _logits(
    first, classes,
    student_ptr, student_plane, s00, s01, s10, s11, student_wy, student_wx,
    teacher_ptr, teacher_plane, t00, t01, t10, t11, teacher_wy, teacher_wx,
    CHUNK: tl.constexpr,
):  # fmt: skip
    """Return resized logits of CHUNK classes, (CHUNK, PIXELS), and which are real."""
    channel = (first + tl.arange(0, CHUNK))[:, None]
    real = channel < classes
    student_ptr += channel.to(tl.int64) * student_plane
    teacher_ptr += channel.to(tl.int64) * teacher_plane
    s = _resized(student_ptr, real, s00, s01, s10, s11, student_wy, student_wx)
    t = _resized(teacher_ptr, real, t00, t01, t10, t11, teacher_wy, teacher_wx)
    return s, t, real


@triton.jit
def _resized(map_ptr, real, at00, at01, at10, at11, wy, wx):
    """Return bilinear interpolations between four pixels."""
    upper, lower = tl.load(map_ptr + at00, real, 0), tl.load(map_ptr + at10, real, 0)
    upper += (tl.load(map_ptr + at01, real, 0) - upper) * wx
    lower += (tl.load(map_ptr + at11, real, 0) - lower) * wx
    return upper + (lower - upper) * wy


@triton.jit
def _deviation(squares, unit, classes, eps):
    """Return std and 1 / (std + eps), which are 1 and 0 for constant logits.

    ``squares`` is the sum of the squares of centered logits divided by ``unit``.
    """
    constant = squares == 0
    std = tl.sqrt(tl.where(constant, 1, squares / (classes - 1))) * unit
    return std, tl.where(constant, 0, 1 / (std + eps))


@triton.jit
def _softmax(logits, real, largest, scale, log_total):
    """Return log-probabilities and probabilities, 0 for padding."""
    # Subtracting first keeps the digits of large logits.
    log = (logits - largest) * scale - log_total
    return log, tl.where(real, tl.exp(log), 0)


@triton.jit
def _add(gradient_ptr, values, real, start):
    """Write the sum over pixels, added to that of earlier tiles."""
    total = tl.sum(values, 1)
    total += tl.load(gradient_ptr, real & (start > 0), 0)
    tl.store(gradient_ptr, total, real)
