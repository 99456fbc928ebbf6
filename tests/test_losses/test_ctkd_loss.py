import math

import pytest
import torch
from mmengine.logging import MessageHub
from torch.testing import assert_close

from mmkd.losses import CTKDLoss
from tests import reference
from tests.reference import pair, value_and_gradient

# theta 1, between 1 and 21
TAU = 1 + 20 / (1 + math.exp(-1))
DIVERGENCES = pytest.mark.parametrize(
    'divergence',
    [
        dict(forward_weight=a, reverse_weight=b, tau_reverse=tau_reverse)
        for a, b in [(1.0, 0.0), (0.0, 1.0), (0.5, 2.0)]
        for tau_reverse in (None, 1.5)
    ],
    ids=lambda options: '-'.join(map(str, options.values())),
)


@pytest.fixture
def at():
    """Sets the epoch and the iteration, as the Runner does."""
    hub = MessageHub.get_current_instance()

    def at(**position):
        for name, value in position.items():
            hub.update_info(name, value)

    at(epoch=0, iter=0)
    yield at
    at(epoch=0, iter=0)


@pytest.mark.parametrize('shape', [(4, 100), (2, 19, 2, 3)])
@pytest.mark.parametrize('standardize', [False, True])
@DIVERGENCES
def test_equals_kd_at_its_temperature(at, shape, standardize, divergence):
    config = dict(type='BalancedKL', **divergence)
    loss = CTKDLoss(standardize=standardize, divergence=config, loss_weight=0.7)
    target = torch.zeros(shape[0], *shape[2:]).long()
    target.view(-1)[1] = 255 if len(shape) == 4 else 1
    args = *pair(*shape), target
    options = dict(tau=TAU, standardized=standardize, loss_weight=0.7, **divergence)
    expected = value_and_gradient(reference.kd, *args, **options)
    result = value_and_gradient(loss.double(), *args)
    assert_close(result, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ('epoch', 'strength'), [(0, 0.0), (5, 0.5), (10, 1.0), (200, 1.0)]
)
def test_gradient_of_theta_is_reversed(at, epoch, strength):
    student, teacher = pair(4, 10)
    loss = CTKDLoss().double()
    at(epoch=epoch)
    assert loss.strength() == pytest.approx(strength, abs=1e-12)
    loss(student, teacher).backward()

    theta = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    tau = 1 + 20 * theta.sigmoid()
    plain = (
        sum(
            reference.divergence(s, t, tau)
            for s, t in zip(student, teacher, strict=True)
        )
        / 4
    )
    (slope,) = torch.autograd.grad(plain, theta)
    assert slope.abs() > 1e-3
    assert_close(loss.theta.grad, -strength * slope, rtol=1e-9, atol=1e-12)


def test_a_step_makes_it_harder_for_the_student(at):
    """The loss at the temperature that theta's own step gives is higher."""
    at(epoch=10)
    student, teacher = pair(4, 10)
    loss = CTKDLoss().double()
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.1)
    before = loss(student, teacher)
    before.backward()
    optimizer.step()
    assert loss(student, teacher) > before


def test_a_frozen_temperature_teaches(at):
    """At epoch 0 only the student moves, towards the teacher."""
    student, teacher = pair(8, 10)
    student.requires_grad_()
    loss = CTKDLoss().double()
    optimizer = torch.optim.SGD([student, *loss.parameters()], lr=1.0)
    values = []
    for _ in range(20):
        optimizer.zero_grad()
        value = loss(student, teacher)
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert loss.theta == 1
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.9 * values[0]


def test_by_iteration(at):
    loss = CTKDLoss(warmup=100, by_epoch=False)
    at(epoch=3, iter=50)
    assert loss.strength() == pytest.approx(0.5)
    assert CTKDLoss(warmup=0).strength() == 1


def test_logged(at):
    at(epoch=5)
    logged = CTKDLoss().logged()
    assert logged['tau'].item() == pytest.approx(TAU)
    assert logged['lambda'].item() == pytest.approx(0.5)
    assert not any(value.requires_grad for value in logged.values())


@pytest.mark.parametrize(
    'bounds', [(0.0, 20.0), (-1.0, 20.0), (5.0, 5.0), (20.0, 1.0), (1.0, math.inf)]
)
def test_bounds_out_of_order(bounds):
    with pytest.raises(ValueError, match='0 < t_start < t_end'):
        CTKDLoss(*bounds)


def test_refuses_a_negative_warmup():
    with pytest.raises(ValueError, match='warmup must be >= 0'):
        CTKDLoss(warmup=-1)


@pytest.mark.parametrize('name', ['tau', 'tau_teacher'])
def test_refuses_a_temperature(name):
    with pytest.raises(TypeError, match=f'remove {name}'):
        CTKDLoss(**{name: 4.0})
