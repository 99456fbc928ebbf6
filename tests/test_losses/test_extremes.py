"""Every loss on extreme logits: value and gradient are finite."""

import pytest
import torch

from mmkd.losses import KDLoss

from .test_every_cell import CELLS, build

CLASSES = 5


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


def inputs(case, where):
    """Student, teacher and target of a case, and whether all is ignored."""
    ours, theirs, dtype, images, size, ignored = CASES[case]
    shape = (images, CLASSES, *(size if where == 'maps' else ()))
    student = logits(ours, shape, 0).to(dtype).requires_grad_()
    teacher = logits(theirs, shape, 1).to(dtype)
    target = torch.arange(images * size[0] * size[1]).view(images, *size) % CLASSES
    if where == 'vectors':
        target = target[:, 0, 0]
    elif ignored:
        target.fill_(255)
    return student, teacher, target, ignored


def check_finite(loss, student, teacher, target):
    """Checks value and gradient; returns the value."""
    value = loss(student, teacher, target)
    value.backward()
    assert value.isfinite()
    assert student.grad.isfinite().all()
    return value


@pytest.mark.parametrize('case', CASES)
@pytest.mark.parametrize(('name', 'standardize', 'divergence', 'where'), CELLS)
def test_finite(name, standardize, divergence, where, case):
    loss = build(name, standardize, divergence)[0].float()
    student, teacher, target, ignored = inputs(case, where)
    value = check_finite(loss, student, teacher, target)
    if name == 'CWD' and student.shape[2:] == (
        1,
        1,
    ):  # one position: nothing to compare
        assert value == 0
    if ignored and where == 'maps':
        assert value == 0
        assert not student.grad.any()


@pytest.mark.parametrize('case', CASES)
@pytest.mark.parametrize('where', ['maps', 'vectors'])
@pytest.mark.parametrize('impl', ['auto', 'eager'])
def test_scale_compensated_class_balanced_kd_is_finite(where, impl, case):
    loss = KDLoss(
        tau=0.25,
        standardize=True,
        divergence='BalancedKL',
        scale_compensated=True,
        class_balanced=True,
        impl=impl,
    )
    student, teacher, target, ignored = inputs(case, where)
    value = check_finite(loss, student, teacher, target)
    if ignored and where == 'maps':
        assert value == 0
        assert not student.grad.any()
