"""Every loss on extreme logits: value and gradient are finite."""

import re
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from mmkd.functional.checks import HIGHEST_TAU, LOWEST_TAU
from mmkd.losses import KDLoss
from tests.reference import value_and_gradient
from tests.test_ops.cases import KERNEL_DEVICE, KernelLoss

from .test_every_cell import FEWER_CELLS, build

CLASSES = 5
REFERENCE = Path(__file__).parents[2] / 'docs' / 'reference.md'


def logits(kind, shape, seed):
    """Logits of a kind."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    if kind == 'huge':
        return x.sign() * 1e4
    if kind == 'tiny':
        return x * 1e-4
    if kind == 'constant':
        return torch.full(shape, 3.0, dtype=x.dtype)
    if kind == 'one-hot':  # a fully confident teacher
        hot = x.argmax(1, keepdim=True)
        return torch.zeros_like(x).scatter_(1, hot, 1e4)
    return x


# Kinds of the student's and of the teacher's logits, dtype, images, size, ignored.
CASES = {
    'huge': ('huge', 'huge', torch.float32, 2, (3, 4), False),
    'huge, half': ('huge', 'huge', torch.float16, 2, (3, 4), False),
    'tiny': ('tiny', 'tiny', torch.float32, 2, (3, 4), False),
    'constant student': ('constant', 'any', torch.float32, 2, (3, 4), False),
    'constant teacher': ('any', 'constant', torch.float32, 2, (3, 4), False),
    'constant both': ('constant', 'constant', torch.float32, 2, (3, 4), False),
    'confident teacher': ('any', 'one-hot', torch.float32, 2, (3, 4), False),
    'confident both': ('one-hot', 'one-hot', torch.float32, 2, (3, 4), False),
    'fp16': ('any', 'any', torch.float16, 2, (3, 4), False),
    'bf16': ('any', 'any', torch.bfloat16, 2, (3, 4), False),
    'all ignored': ('any', 'any', torch.float32, 2, (3, 4), True),
    'one pixel': ('any', 'any', torch.float32, 2, (1, 1), False),
    'one image': ('any', 'any', torch.float32, 1, (3, 4), False),
    'one of all': ('any', 'any', torch.float32, 1, (1, 1), False),
}


def inputs(case, where, device):
    """Student, teacher and target of a case, and whether all is ignored."""
    ours, theirs, dtype, images, size, ignored = CASES[case]
    shape = (images, CLASSES, *(size if where == 'maps' else ()))
    student = logits(ours, shape, 0).to(device, dtype).requires_grad_()
    teacher = logits(theirs, shape, 1).to(device, dtype)
    target = torch.arange(images * size[0] * size[1]).view(images, *size) % CLASSES
    if where == 'vectors':
        target = target[:, 0, 0]
    elif ignored:
        target.fill_(255)
    return student, teacher, target.to(device), ignored


def check_finite(loss, student, teacher, target):
    """Checks value and gradient; returns the value."""
    value = loss(student, teacher, target)
    value.backward()
    assert value.isfinite()
    assert student.grad.isfinite().all()
    return value


@pytest.mark.parametrize('case', CASES)
@pytest.mark.parametrize(('name', 'standardize', 'divergence', 'where'), FEWER_CELLS)
def test_finite(name, standardize, divergence, where, case, device):
    loss = build(name, standardize, divergence)[0].to(device, torch.float32)
    student, teacher, target, ignored = inputs(case, where, device)
    value = check_finite(loss, student, teacher, target)
    if name == 'CWD' and student[0, 0].numel() == 1:  # nothing to compare
        assert value == 0
    if ignored and where == 'maps':
        assert value == 0
        assert not student.grad.any()


@pytest.mark.parametrize('case', CASES)
@pytest.mark.parametrize('where', ['maps', 'vectors'])
@pytest.mark.parametrize('impl', ['auto', 'eager'])
def test_scale_compensated_class_balanced_kd_is_finite(where, impl, case, device):
    loss = KDLoss(
        tau=0.25,
        standardize=True,
        divergence='BalancedKL',
        scale_compensated=True,
        class_balanced=True,
        impl=impl,
    )
    student, teacher, target, ignored = inputs(case, where, device)
    value = check_finite(loss, student, teacher, target)
    if ignored and where == 'maps':
        assert value == 0
        assert not student.grad.any()


# Up to which logits of either sign each loss is finite in float32.
ROW = r'\| `(\w+)Loss(\(scale_compensated=True\))?` \| (1e\d+) \|'
LARGEST = {
    (name, bool(compensated)): float(largest)
    for name, compensated, largest in re.findall(ROW, REFERENCE.read_text())
}


def check_largest(loss, where, largest, device, classes=CLASSES, continuous=True):
    """Compare with float64, where nothing overflows, unless it is not continuous."""
    generator = torch.Generator().manual_seed(0)
    shape = (2, classes, *((3, 4) if where == 'maps' else ()))
    student, teacher = torch.randn(2, *shape, generator=generator).to(device)
    target = torch.arange(2 * 12, device=device).view(2, 3, 4) % classes
    target[0, 0, 0] = 255
    target = target if where == 'maps' else target[:, 1, 0]
    for logits in (student, teacher):
        logits.copy_(largest * logits.sign())
    student[0, ..., 1:] /= largest  # beside ordinary ones
    found, expected = (
        value_and_gradient(
            loss.to(device, dtype), student.to(dtype), teacher.to(dtype), target
        )
        for dtype in (torch.float32, torch.float64)
    )
    assert found[0].isfinite()
    assert found[1].isfinite().all()
    if not continuous:
        return
    for one, other in zip(found, expected, strict=True):
        rounding = 1e-5 * max(1.0, float(other.abs().max()))
        assert_close(one, other, rtol=1e-3, atol=rounding, check_dtype=False)


@pytest.mark.parametrize('classes', [CLASSES, 150])
@pytest.mark.parametrize(('name', 'standardize', 'divergence', 'where'), FEWER_CELLS)
def test_largest_logits(name, standardize, divergence, where, classes, device):
    loss = build(name, standardize, divergence)[0].requires_grad_(False)
    # Of classes or entropies that are equal but for rounding, either may be larger.
    continuous = divergence not in ('adaptive', 'entropy')
    check_largest(loss, where, LARGEST[name, False], device, classes, continuous)


KD_OPTIONS = pytest.mark.parametrize(
    ('standardize', 'compensated'), [(False, False), (True, False), (True, True)]
)


@KD_OPTIONS
def test_largest_logits_of_the_kernel(standardize, compensated):
    pytest.importorskip('triton', reason='CPU builds of PyTorch have none')
    loss = KernelLoss(False, standardize, compensated)
    check_largest(loss, 'maps', LARGEST['KD', compensated], KERNEL_DEVICE)


@KD_OPTIONS
@pytest.mark.parametrize('impl', ['eager', 'fused'])
def test_largest_logits_of_kd(impl, standardize, compensated, device):
    loss = KDLoss(
        standardize=standardize,
        divergence='BalancedKL',
        scale_compensated=compensated,
        impl=impl,
    )
    check_largest(loss, 'maps', LARGEST['KD', compensated], device)


@pytest.mark.parametrize('tau', [LOWEST_TAU, HIGHEST_TAU])
@pytest.mark.parametrize('impl', ['eager', 'fused'])
@pytest.mark.parametrize('standardize', [False, True])
def test_extreme_temperatures(tau, impl, standardize, device):
    loss = KDLoss(tau, impl=impl, standardize=standardize, divergence='BalancedKL')
    student, teacher, target, _ = inputs('fp16', 'maps', device)
    check_finite(loss, student, teacher, target)
