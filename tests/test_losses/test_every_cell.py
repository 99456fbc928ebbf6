"""Every loss, plain and standardized, with every divergence, on vectors and maps."""

import itertools
import math
from functools import partial

import pytest
import torch
from torch.testing import assert_close

from mmkd import losses
from mmkd.losses import (
    CTKDLoss,
    CWDLoss,
    DISTLoss,
    DKDLoss,
    KDLoss,
    LogitLoss,
    MLKDLoss,
)
from tests import reference
from tests.divergence_formulas import FORMULAS
from tests.reference import pair, value_and_gradient

SHAPES = {'vectors': (4, 5), 'maps': (2, 5, 2, 3)}
DIVERGENCES = {
    'forward': dict(),
    'reverse': dict(forward_weight=0.0, reverse_weight=1.0),
    'balanced': dict(forward_weight=0.7, reverse_weight=2.0, tau_reverse=1.5),
}
TYPES = dict(forward='ForwardKL', reverse='ReverseKL')
# Loss, its reference, its own options, and the temperature it then has.
LOSSES = {
    'KD': (KDLoss, reference.kd, dict(tau=3.0), {}),
    'CTKD': (
        CTKDLoss,
        reference.kd,
        dict(t_start=0.5, t_end=4.0, warmup=0),
        dict(tau=0.5 + 4 / (1 + math.exp(-1))),
    ),
    'DKD': (DKDLoss, reference.dkd, dict(alpha=0.6, beta=2.0, tau=3.0), {}),
    'MLKD': (MLKDLoss, reference.mlkd, dict(tau=1.5, beta=0.5, gamma=2.0), {}),
    'DIST': (DISTLoss, reference.dist, dict(beta=2.0, gamma=0.5, tau=3.0), {}),
    'CWD': (CWDLoss, reference.cwd, dict(tau=3.0), {}),
}
HOLD_NO_KL = ['DIST']
ONLY_MAPS = ['CWD']
TAKE_THETA = ('t_start', 't_end', 'warmup')
CELLS = [
    pytest.param(name, standardize, divergence, where, id='-'.join(parts))
    for name, standardize, divergence, where in itertools.product(
        LOSSES, [False, True], [*DIVERGENCES, *FORMULAS], SHAPES
    )
    if not (name in HOLD_NO_KL and divergence != 'forward')
    and not (name in ONLY_MAPS and where == 'vectors')
    for parts in [(name, 'ls' if standardize else 'plain', divergence, where)]
]
# Without divergences of the family in losses that use them as KD does.
FEWER_CELLS = [
    cell
    for cell in CELLS
    if cell.values[2] in DIVERGENCES or cell.values[0] in ('KD', 'DKD', 'CWD')
]
EVERY_CELL = pytest.mark.parametrize(
    ('name', 'standardize', 'divergence', 'where'), CELLS
)


def build(name, standardize, divergence):
    """The loss of a cell, and its independent reference."""
    kind, formula, options, learnt = LOSSES[name]
    known_divergence = DIVERGENCES.get(divergence)
    named = {} if name in HOLD_NO_KL else {'divergence': TYPES.get(divergence)}
    if divergence == 'balanced':
        named['divergence'] = dict(type='BalancedKL', **known_divergence)
    if divergence in FORMULAS:
        kind_of_divergence, of_vectors, arguments = FORMULAS[divergence]
        named['divergence'] = dict(type=kind_of_divergence, **arguments)
        known_divergence = dict(formula=partial(of_vectors, **arguments))
    loss = kind(standardize=standardize, loss_weight=0.3, **options, **named)
    plain = {key: options[key] for key in options if key not in TAKE_THETA}
    known = dict(standardized=standardize, loss_weight=0.3, **plain, **learnt)
    if named:
        known |= known_divergence
    return loss.double(), lambda *args: formula(*args, **known)


def batch(where, device):
    """Logits of both and a target; of a map, a third of its pixels is ignored."""
    shape = SHAPES[where]
    target = torch.arange(math.prod(shape) // shape[1], device=device) % shape[1]
    if where == 'maps':
        target[::3] = 255
    return *pair(*shape, device=device), target.view(shape[0], *shape[2:])


def test_every_loss_is_there():
    exported = {getattr(losses, name) for name in losses.__all__}
    kinds = {x for x in exported if isinstance(x, type) and issubclass(x, LogitLoss)}
    assert kinds - {LogitLoss} == {kind for kind, *_ in LOSSES.values()}


@EVERY_CELL
def test_value_and_gradient(name, standardize, divergence, where, device):
    loss, formula = build(name, standardize, divergence)
    args = batch(where, device)
    expected = value_and_gradient(formula, *args)
    assert expected[0] > 0
    found = value_and_gradient(loss.to(device), *args)
    assert_close(found, expected, rtol=1e-9, atol=1e-11)


@EVERY_CELL
def test_decreases_on_a_fixed_batch(name, standardize, divergence, where, device):
    """Gradient descent on the student's logits comes to a fifth of the loss."""
    loss, _ = build(name, standardize, divergence)
    loss.to(device).requires_grad_(False)  # CTKD's temperature would work against it
    student, teacher, target = batch(where, device)
    student.requires_grad_()
    optimizer = torch.optim.Adam([student], lr=0.2)
    values = []
    for _ in range(60):
        optimizer.zero_grad()
        value = loss(student, teacher, target)
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[10] < values[0]
    assert values[-1] < 0.2 * values[0]


@pytest.mark.parametrize('where', SHAPES)
@pytest.mark.parametrize('standardize', [False, True])
@pytest.mark.parametrize('divergence', DIVERGENCES)
def test_theta_increases_the_loss(where, standardize, divergence, device):
    """Descent along the gradient that theta gets makes the loss grow."""
    loss = build('CTKD', standardize, divergence)[0].to(device)
    args = batch(where, device)
    value = loss(*args)
    value.backward()
    with torch.no_grad():
        loss.theta -= 1e-4 * torch.sign(loss.theta.grad)
    assert loss(*args) > value
