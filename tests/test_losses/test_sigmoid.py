"""Sigmoid outputs: every channel is a Bernoulli distribution of its own."""

import math

import pytest
import torch
from scipy.special import expit, rel_entr
from torch.autograd import gradcheck
from torch.testing import assert_close

from mmkd.functional import class_balance
from mmkd.losses import CTKDLoss, CWDLoss, DISTLoss, DKDLoss, KDLoss, MLKDLoss
from tests import reference
from tests.reference import pair, value_and_gradient

WEIGHTS = {
    'ForwardKL': (1.0, 0.0),
    'ReverseKL': (0.0, 1.0),
    'BalancedKL': (1.0, 1.0),
}
KINDS = {
    'KD': (KDLoss, dict(tau=2.0), 2.0),
    'KD, eager': (KDLoss, dict(tau=2.0, impl='eager'), 2.0),
    'CTKD': (CTKDLoss, dict(t_start=0.5, warmup=0), 0.5 + 20 / (1 + math.exp(-1))),
}
ALL_KINDS = pytest.mark.parametrize('kind', KINDS)
SHAPES = pytest.mark.parametrize(
    'shape', [(2, 1, 4, 6), (2, 3, 4, 6), (5, 1), (5, 4)], ids=str
)
DIVERGENCES = pytest.mark.parametrize('divergence', WEIGHTS)


def build(kind, **options):
    """A loss of sigmoid outputs, in float64."""
    loss, own, _ = KINDS[kind]
    return loss(activation='sigmoid', **own, **options).double()


def labels(shape, device='cpu'):
    """A third of the pixels ignored; None for vectors."""
    if len(shape) == 2:
        return None
    target = torch.arange(math.prod(shape) // shape[1], device=device) % 2
    target[::3] = 255
    return target.view(shape[0], *shape[2:])


def binary_kl(student, teacher, tau, divergence, target=None):
    """tau^2 KL of the sigmoids by SciPy, mean over channels and valid positions."""
    p, q = (expit(x.detach().cpu().numpy() / tau) for x in (teacher, student))
    p_off, q_off = (expit(-x.detach().cpu().numpy() / tau) for x in (teacher, student))
    forward = rel_entr(p, q) + rel_entr(p_off, q_off)
    reverse = rel_entr(q, p) + rel_entr(q_off, p_off)
    a, b = WEIGHTS[divergence]
    values = torch.from_numpy(a * forward + b * reverse)
    if target is not None:
        valid = (target.cpu() != 255)[:, None].expand_as(values)
        values = values[valid]
    return tau**2 * values.mean()


@ALL_KINDS
@SHAPES
@DIVERGENCES
def test_equals_scipy(kind, shape, divergence, device):
    student, teacher = pair(*shape, device=device)
    target = labels(shape, device)
    found = build(kind, divergence=divergence).to(device)(student, teacher, target)
    expected = binary_kl(student, teacher, KINDS[kind][2], divergence, target)
    assert expected > 0
    assert_close(found.detach().cpu(), expected)


@ALL_KINDS
@SHAPES
def test_gradient(kind, shape):
    student, teacher = pair(*shape)
    target = labels(shape)
    loss = build(kind, divergence='BalancedKL')
    loss.requires_grad_(False)
    assert gradcheck(lambda s: loss(s, teacher, target), student.requires_grad_())


@ALL_KINDS
def test_one_channel_equals_two_classes(kind, device):
    """A sigmoid of x is the softmax of [0, x], at any size of the maps."""
    student, _ = pair(2, 1, 3, 4, device=device)
    _, teacher = pair(2, 1, 6, 5, device=device)
    target = labels((2, 1, 12, 16), device)
    options = dict(divergence='BalancedKL', resolution='label', align_corners=True)
    loss = build(kind, **options).to(device)

    def two_classes(s):
        both = build(kind, **options).to(device)
        both.set_activation('softmax')
        maps = (torch.cat([torch.zeros_like(x), x], 1) for x in (s, teacher))
        return both(*maps, target)

    assert_close(
        value_and_gradient(loss, student, teacher, target),
        value_and_gradient(two_classes, student),
    )


@ALL_KINDS
@pytest.mark.parametrize('bad', [torch.nan, torch.inf, -torch.inf, 1e38])
def test_ignored_pixels(kind, bad, device):
    student, teacher = pair(2, 3, 4, 6, dtype=torch.float32, device=device)
    target = labels((2, 3, 4, 6), device)
    loss = build(kind, divergence='BalancedKL').to(device, torch.float32)
    expected = value_and_gradient(loss, student, teacher, target)
    ignored = (target == 255)[:, None].expand_as(student)
    student[ignored] = teacher[ignored] = bad
    found = value_and_gradient(loss, student, teacher, target)
    assert_close(found, expected)
    assert (found[1][ignored] == 0).all()
    assert (found[1][~ignored] != 0).all()


@ALL_KINDS
def test_all_pixels_ignored(kind, device):
    student, teacher = pair(2, 3, 4, 6, device=device)
    target = torch.full((2, 4, 6), 255, device=device)
    loss = build(kind).to(device)
    value, gradient = value_and_gradient(loss, student, teacher, target)
    assert value == 0
    assert (gradient == 0).all()


@ALL_KINDS
@pytest.mark.parametrize('largest', [1e-4, 1e4, 1e34])
def test_extreme_logits(kind, largest, device):
    student, teacher = pair(2, 3, 4, 6, dtype=torch.float32, device=device)
    args = [largest * x.sign() for x in (student, teacher)]
    loss = build(kind, divergence='BalancedKL').requires_grad_(False)
    target = labels((2, 3, 4, 6), device)
    found = value_and_gradient(loss.to(device, torch.float32), *args, target)
    expected = value_and_gradient(loss.double(), *(x.double() for x in args), target)
    assert found[0].isfinite()
    assert_close(found, expected, rtol=1e-4, atol=1e-6, check_dtype=False)


@ALL_KINDS
def test_precision(kind, dtype, device):
    student, teacher = pair(2, 3, 4, 6, dtype=dtype, device=device)
    precision = reference.computed_in(dtype)
    loss = build(kind).to(device, precision)
    target = labels((2, 3, 4, 6), device)
    value, gradient = value_and_gradient(loss, student, teacher, target)
    assert value.dtype == precision
    assert gradient.dtype == dtype
    logits = student.double(), teacher.double()
    expected = binary_kl(*logits, KINDS[kind][2], 'ForwardKL', target)
    assert_close(value.double().cpu(), expected, rtol=1e-5, atol=0)
    with torch.autocast(device, torch.bfloat16):
        assert loss(student, teacher, target) == value


@pytest.mark.parametrize('impl', ['eager', 'fused'])
@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('size', [(4, 6), (8, 12)])
def test_class_balanced(impl, channels, size, device):
    """Each channel has the weights of its own two classes."""
    student, _ = pair(2, channels, 4, 6, device=device)
    _, teacher = pair(2, channels, 4, 6, device=device)
    target = labels((2, 1, *size), device)
    options = dict(class_balanced=True, impl=impl, resolution='label')
    found = value_and_gradient(
        KDLoss(activation='sigmoid', **options), student, teacher, target
    )

    def by_channel(s):
        parts = []
        for ours, theirs in zip(s.split(1, 1), teacher.split(1, 1), strict=True):
            maps = (torch.cat([torch.zeros_like(x), x], 1) for x in (ours, theirs))
            parts.append(KDLoss(**options)(*maps, target))
        return sum(parts) / channels

    assert_close(found, value_and_gradient(by_channel, student))
    assert found[0] != KDLoss(activation='sigmoid', resolution='label')(
        student, teacher, target
    )


def test_class_balanced_vectors():
    student, teacher = pair(5, 3)
    found = KDLoss(activation='sigmoid', class_balanced=True)(student, teacher)
    total = 0
    for s, t in zip(student.T, teacher.T, strict=True):
        maps = [torch.stack([torch.zeros_like(x), x], 1) for x in (s, t)]
        weight = class_balance(maps[1])
        values = [reference.divergence(*rows) for rows in zip(*maps, strict=True)]
        total += (weight * torch.stack(values)).mean()
    assert_close(found, total / 3)


@pytest.mark.parametrize('standardize', [False, True])
@pytest.mark.parametrize('channels', [1, 3])
def test_channel_wise_distillation_is_the_same(standardize, channels):
    args = *pair(2, channels, 4, 6), labels((2, channels, 4, 6))
    found, expected = (
        CWDLoss(activation=activation, standardize=standardize)(*args)
        for activation in ('sigmoid', 'softmax')
    )
    assert found == expected > 0


@pytest.mark.parametrize('kind', [DKDLoss, MLKDLoss, DISTLoss])
def test_refused_by_losses_of_a_distribution_over_the_classes(kind):
    with pytest.raises(ValueError, match=f'{kind.__name__} cannot compare sigmoid'):
        kind(activation='sigmoid')
    with pytest.raises(ValueError, match='one channel, whose softmax is always 1; use'):
        kind()(*pair(2, 1, 4, 6), torch.zeros(2, 4, 6).long())


@pytest.mark.parametrize('kind', [KDLoss, CTKDLoss])
def test_one_channel_needs_a_sigmoid(kind):
    """The softmax of one channel is 1, so the loss would be 0."""
    message = "one channel, whose softmax is always 1; set activation='sigmoid'$"
    with pytest.raises(ValueError, match=message):
        kind()(*pair(2, 1, 4, 6))


@pytest.mark.parametrize('kind', [KDLoss, CWDLoss, DKDLoss])
def test_refuses_an_unknown_activation(kind):
    with pytest.raises(ValueError, match=r"^activation must be .* not 'tanh'"):
        kind(activation='tanh')


@pytest.mark.parametrize('impl', ['eager', 'fused'])
def test_refuses_standardization(impl):
    loss = KDLoss(activation='sigmoid', standardize=True, impl=impl)
    with pytest.raises(ValueError, match='set standardize=False and scale_comp'):
        loss(*pair(2, 3, 4, 6))


OPTIONS = dict(standardize=True, tau=0.4, tau_teacher=0.6)


@pytest.mark.parametrize('compensated', [False, True])
@pytest.mark.parametrize(
    'divergence', [dict(type='BalancedKL', tau_reverse=0.7), 'AlphaBeta', 'SkewKL']
)
def test_replaced_standardization(divergence, compensated):
    """At a standard deviation of 3, value and gradient are those of before."""
    student, teacher = pair(4, 5)
    student, teacher = (
        3 * (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True)
        for x in (student, teacher)
    )
    loss = KDLoss(scale_compensated=compensated, divergence=divergence, **OPTIONS)
    expected = loss(student, teacher)
    loss.replace_standardization()
    assert_close(loss(student, teacher), expected, rtol=1e-6, atol=0)
    assert not loss.standardize
    assert not loss.scale_compensated
    assert_close(loss.tau, 1.2)
