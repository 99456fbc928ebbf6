"""The losses as functions; their values are also tested through the modules."""

import math
from functools import partial

import pytest
import torch
from torch.testing import assert_close

from mmkd import functional, losses
from mmkd.functional import balanced_kl_divergence, class_balance, masked_mean
from mmkd.losses import BalancedKL
from tests import reference
from tests.reference import computed_in, pair, value_and_gradient

WEIGHTS = dict(forward_weight=0.7, reverse_weight=2.0, tau_reverse=1.5)
TAUS = dict(tau=2.0, tau_teacher=3.0)
OPTIONS = {
    'KD': TAUS,
    'CTKD': dict(t_start=0.5, t_end=4.0),
    'CWD': TAUS,
    'DKD': dict(alpha=0.5, beta=3.0, **TAUS),
    'MLKD': dict(taus=(3.0,), beta=0.5, gamma=2.0, **TAUS),
    'DIST': dict(beta=2.0, gamma=0.5, **TAUS),
}
# CWD compares maps only.
CELLS = [
    (name, standardize, shape)
    for name in OPTIONS
    for standardize in (False, True)
    for shape in ((6, 5), (2, 5, 3, 4))
    if name != 'CWD' or len(shape) == 4
]
EVERY_CELL = pytest.mark.parametrize(('name', 'standardize', 'shape'), CELLS)


def batch(shape, device='cpu'):
    """Logits of both, and a target; a quarter of a map's pixels is ignored."""
    student, teacher = pair(*shape, device=device)
    places = torch.arange(student[:, 0].numel(), device=device)
    target = (places % shape[1]).view_as(student[:, 0])
    if len(shape) == 4:
        target.view(-1)[::4] = 255
    return student, teacher, target


def function_of(name, standardize, target, mask):
    """A loss of student and teacher, as a function."""
    function = getattr(functional, f'{name.lower()}_loss')
    options = dict(OPTIONS[name], standardize=standardize, mask=mask)
    if name != 'DIST':
        options['divergence'] = partial(balanced_kl_divergence, **WEIGHTS)
    if name == 'CTKD':
        options['theta'] = torch.tensor(1.0, dtype=torch.float64, device=target.device)
    if name == 'DKD':
        options['target'] = target
    return partial(function, **options)


def module_of(name, standardize):
    """The same loss as a module."""
    options = dict(OPTIONS[name], standardize=standardize)
    if name != 'DIST':
        options['divergence'] = dict(type='BalancedKL', **WEIGHTS)
    if name == 'CTKD':
        options['warmup'] = 0
    return getattr(losses, f'{name}Loss')(**options).double()


@EVERY_CELL
def test_module_equals_function(name, standardize, shape, device):
    student, teacher, target = batch(shape, device)
    mask = target != 255 if len(shape) == 4 else None
    function = function_of(name, standardize, target, mask)
    expected = value_and_gradient(function, student, teacher)
    module = module_of(name, standardize).to(device)
    found = value_and_gradient(lambda *args: module(*args, target), student, teacher)
    assert expected[0] > 0
    assert_close(found, expected, rtol=1e-12, atol=1e-14)


@EVERY_CELL
def test_equals_the_formula(name, standardize, shape, device):
    student, teacher, target = batch(shape, device)
    mask = target != 255 if len(shape) == 4 else None
    options = dict(OPTIONS[name], standardized=standardize)
    if name != 'DIST':
        options.update(WEIGHTS)
    if name == 'CTKD':  # KD at the temperature of theta = 1
        t_start, t_end = options.pop('t_start'), options.pop('t_end')
        options['tau'] = t_start + t_end / (1 + math.exp(-1))
    if name == 'DKD' or mask is not None:
        options['target'] = target
    formula = getattr(reference, name.lower() if name != 'CTKD' else 'kd')
    expected = value_and_gradient(formula, student, teacher, **options)
    function = function_of(name, standardize, target, mask)
    found = value_and_gradient(function, student, teacher)
    assert_close(found, expected, rtol=1e-6, atol=1e-9)


@EVERY_CELL
def test_invalid_positions_do_not_matter(name, standardize, shape, device):
    """Vectors: the value is that of the valid ones; maps: of any logits there."""
    student, teacher, target = batch(shape, device)
    mask = (torch.arange(target.numel(), device=device) % 4 > 0).view_as(target)
    value = function_of(name, standardize, target, mask)(student, teacher)
    if len(shape) == 2:
        alone = function_of(name, standardize, target[mask], None)
        assert_close(value, alone(student[mask], teacher[mask]))
    else:
        student[:, 0][~mask] += 7.0
        teacher[:, 1][~mask] -= 7.0
        again = function_of(name, standardize, target, mask)(student, teacher)
        assert_close(again, value)


@EVERY_CELL
def test_no_valid_position(name, standardize, shape, device):
    student, teacher, target = batch(shape, device)
    mask = torch.zeros_like(target).bool()
    function = function_of(name, standardize, target, mask)
    value, gradient = value_and_gradient(function, student, teacher)
    assert value == 0
    assert (gradient == 0).all()


@EVERY_CELL
def test_every_precision_and_autocast(name, standardize, shape, dtype, device):
    student, teacher, target = batch(shape, device)
    student, teacher = student.to(dtype), teacher.to(dtype)
    function = function_of(name, standardize, target.clamp(max=4), None)
    precision = computed_in(dtype)
    expected = function(student.to(precision), teacher.to(precision))
    assert expected.dtype == precision
    assert function(student, teacher) == expected
    with torch.autocast(device, torch.bfloat16):
        assert function(student, teacher) == expected


@pytest.mark.parametrize('name', OPTIONS)
def test_refuses_different_shapes(name):
    student, teacher, target = batch((2, 5, 3, 4))
    with pytest.raises(ValueError, match=r'same shape.*\(2, 5, 3, 4\).*\(2, 5, 4, 3\)'):
        function_of(name, False, target, None)(student, teacher.mT)


@pytest.mark.parametrize(
    ('name', 'option', 'value'),
    [
        ('KD', 'tau', 0.0),
        ('CWD', 'tau_teacher', -1.0),
        ('DIST', 'tau', float('nan')),
        ('DKD', 'alpha', -1.0),
        ('DKD', 'beta', -1.0),
        ('DIST', 'beta', -1.0),
        ('DIST', 'gamma', float('inf')),
        ('MLKD', 'beta', -1.0),
        ('MLKD', 'gamma', -1.0),
        ('MLKD', 'taus', (3.0, 0.0)),
        ('MLKD', 'views', 3),
    ],
)
def test_refuses_options_out_of_range(name, option, value):
    student, teacher, target = batch((2, 5, 3, 4))
    with pytest.raises(ValueError, match=f'^{option} must be'):
        function_of(name, False, target, None)(student, teacher, **{option: value})


@pytest.mark.parametrize(
    ('name', 'defaults'),
    [
        ('KD', dict(tau=1.0, standardize=False, scale_compensated=False)),
        ('CTKD', dict(strength=1.0, t_start=1.0, t_end=20.0, standardize=False)),
        ('CWD', dict(tau=1.0, standardize=False)),
        ('DKD', dict(alpha=1.0, beta=8.0, tau=4.0, standardize=False)),
        (
            'MLKD',
            dict(
                tau=4.0,
                taus=(3.0, 5.0, 2.0, 6.0),
                beta=1.0,
                gamma=1.0,
                views=1,
                standardize=False,
            ),
        ),
        ('DIST', dict(beta=1.0, gamma=1.0, tau=1.0, standardize=False)),
    ],
)
def test_defaults(name, defaults):
    student, teacher, target = batch((2, 5, 3, 4))
    arguments = dict(target=target.clamp(max=4)) if name == 'DKD' else {}
    leaves = [student.requires_grad_()]
    if name == 'CTKD':
        arguments['theta'] = torch.tensor(1.0, requires_grad=True)
        leaves.append(arguments['theta'])
    function = partial(getattr(functional, f'{name.lower()}_loss'), **arguments)
    values = [function(student, teacher), function(student, teacher, **defaults)]
    assert values[0] == values[1]
    assert_close(*(torch.autograd.grad(value, leaves) for value in values))


def test_mlkd_standardized_at_a_lower_temperature():
    logits = pair(6, 5)
    values = [
        functional.mlkd_loss(*logits, standardize=True, **options)
        for options in ({}, dict(tau=2.0))
    ]
    assert values[0] == values[1]


def test_scale_compensation_needs_standardization():
    with pytest.raises(ValueError, match='scale_compensated') as raised:
        functional.kd_loss(*pair(2, 5), scale_compensated=True)
    assert str(raised.value) == (
        'scale_compensated=True needs standardize=True: plain logits keep their scale, '
        'so there is nothing to compensate; set standardize=True or remove '
        'scale_compensated'
    )


def test_dist_of_two_valid_positions():
    """Logits for which each class has correlation 1 or -1."""
    student, teacher = pair(6, 5)
    mask = torch.tensor([True, False, False, True, False, False])
    found = functional.dist_loss(student, teacher, mask=mask)
    assert_close(found, reference.dist(student[mask], teacher[mask]))


def test_dist_of_two_classes():
    """Within two positions each correlation is 1 or -1."""
    student, teacher = pair(2, 2)
    found = functional.dist_loss(student, teacher)
    assert_close(found, reference.dist(student, teacher))


@pytest.mark.parametrize('name', ['KD', 'CTKD', 'DKD'])
def test_weight_and_mask(name):
    """The mean over valid positions of weight times divergence, one by one."""
    student, teacher, target = batch((6, 5))
    mask = torch.tensor([True, True, False, True, False, True])
    weight = class_balance(teacher, mask)
    arguments = dict(mask=mask, weight=weight)
    if name == 'CTKD':  # at a temperature of 2
        arguments |= dict(theta=torch.tensor(0.0), t_end=2.0)
    else:
        arguments['tau'] = 2.0
    if name == 'DKD':
        arguments['target'] = target
    found = getattr(functional, f'{name.lower()}_loss')(student, teacher, **arguments)
    formula = reference.dkd if name == 'DKD' else reference.kd
    values = [
        weight[i]
        * formula(*(x[i : i + 1] for x in (student, teacher, target)), tau=2.0)
        for i in range(6)
        if mask[i]
    ]
    assert_close(found, sum(values) / 4)


def test_masked_mean():
    values, weight = torch.tensor([[1.0, 3.0, 4.0], [2.0, 2.0, 0.5]])
    mask = torch.tensor([True, False, True])
    assert_close(masked_mean(values), torch.tensor(8 / 3))
    assert masked_mean(values, mask) == 2.5
    assert masked_mean(values, mask, weight) == 2.0
    assert_close(masked_mean(values, weight=weight), torch.tensor(10 / 3))
    large = torch.full((10,), 1e38)  # whose sum float32 cannot hold
    assert_close(masked_mean(large), large[0])
    assert_close(masked_mean(large, large > 0), large[0])


def test_dkd_splits_a_module_and_a_partial_alike():
    student, teacher, target = batch((6, 5))
    values = [
        functional.dkd_loss(student, teacher, target, divergence=divergence)
        for divergence in (
            BalancedKL(**WEIGHTS),
            partial(balanced_kl_divergence, **WEIGHTS),
        )
    ]
    assert values[0] == values[1]


@pytest.mark.parametrize('half', ['forward_weight', 'reverse_weight'])
def test_dkd_gives_halves_that_are_not_named_a_weight_of_1(half):
    student, teacher, target = batch((6, 5))
    values = [
        functional.dkd_loss(
            student,
            teacher,
            target,
            divergence=partial(balanced_kl_divergence, tau_reverse=2.0, **options),
        )
        for options in ({}, {half: 1.0}, dict(forward_weight=1.0, reverse_weight=1.0))
    ]
    assert values[0] == values[1] == values[2]


def test_dkd_needs_classes():
    student, teacher = pair(6, 5)
    for wrong, what in (
        (None, 'no target'),
        (student, 'soft labels (Mixup or CutMix?)'),
    ):
        with pytest.raises(ValueError, match='DKDLoss') as raised:
            functional.dkd_loss(student, teacher, wrong)
        assert str(raised.value) == (
            f'DKDLoss needs the class of each position, but got {what}; use hard '
            'labels, or KDLoss'
        )


def test_cwd_needs_maps():
    with pytest.raises(ValueError, match=r'\(6, 5\); use KDLoss for vectors$'):
        functional.cwd_loss(*pair(6, 5))


@pytest.mark.parametrize('strength', [0.0, 0.5, 1.0])
def test_curriculum_temperature(strength):
    theta = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    tau = functional.curriculum_temperature(theta, strength, 2.0, 10.0)
    assert_close(tau, 2.0 + 10.0 * theta.sigmoid())
    (gradient,) = torch.autograd.grad(tau, theta)
    slope = 10.0 * theta.sigmoid() * (1 - theta.sigmoid())
    assert_close(gradient, -strength * slope)


def test_defaults_of_the_curriculum_temperature():
    theta = torch.tensor(0.3, requires_grad=True)
    found = functional.curriculum_temperature(theta)
    expected = functional.curriculum_temperature(theta, 1.0, 1.0, 20.0)
    assert found == expected
    assert torch.autograd.grad(found, theta) == torch.autograd.grad(expected, theta)
