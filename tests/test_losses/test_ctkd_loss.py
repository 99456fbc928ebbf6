import math

import pytest
import torch
from torch.testing import assert_close

from mmkd.losses import CTKDLoss, Progress
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


@pytest.mark.parametrize('shape', [(4, 100), (2, 19, 2, 3)])
@pytest.mark.parametrize('standardize', [False, True])
@DIVERGENCES
def test_equals_kd_at_its_temperature(shape, standardize, divergence, device):
    config = dict(type='BalancedKL', **divergence)
    loss = CTKDLoss(standardize=standardize, divergence=config, loss_weight=0.7)
    target = torch.zeros(shape[0], *shape[2:], device=device).long()
    target.view(-1)[1] = 255 if len(shape) == 4 else 1
    args = *pair(*shape, device=device), target
    options = dict(tau=TAU, standardized=standardize, loss_weight=0.7, **divergence)
    expected = value_and_gradient(reference.kd, *args, **options)
    result = value_and_gradient(loss.to(device, torch.float64), *args)
    assert_close(result, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ('epoch', 'strength'), [(0, 0.0), (5, 0.5), (10, 1.0), (200, 1.0)]
)
def test_gradient_of_theta_is_reversed(epoch, strength, device):
    student, teacher = pair(4, 10, device=device)
    loss = CTKDLoss().to(device, torch.float64)
    loss.progress = Progress(epoch=epoch)
    assert loss.strength() == pytest.approx(strength, abs=1e-12)
    loss(student, teacher).backward()

    theta = torch.tensor(1.0, dtype=torch.float64, device=device, requires_grad=True)
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


def test_a_step_makes_it_harder_for_the_student():
    """The loss at the temperature that theta's own step gives is higher."""
    student, teacher = pair(4, 10)
    loss = CTKDLoss().double()
    loss.progress = Progress(epoch=10)
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.1)
    before = loss(student, teacher)
    before.backward()
    optimizer.step()
    assert loss(student, teacher) > before


def test_a_frozen_temperature_teaches():
    """Only the student learns at epoch 0."""
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


@pytest.mark.parametrize(
    ('options', 'strength'),
    [
        (dict(warmup=100, by_epoch=False), 0.5),
        (dict(warmup=0.1), 0.5),  # of 1000 iterations
        (dict(warmup=0.05), 1.0),
        (dict(warmup=6), 0.5),
        (dict(warmup=0), 1.0),
    ],
)
def test_duration_of_the_warmup(options, strength):
    loss = CTKDLoss(**options)
    loss.progress = Progress(iteration=50, epoch=3, max_iterations=1000, max_epochs=60)
    assert loss.strength() == pytest.approx(strength)


def test_two_losses_have_their_own_progress():
    early, late = CTKDLoss(), CTKDLoss()
    late.progress = Progress(epoch=10)
    assert (early.strength(), late.strength()) == (0, 1)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(), 'warmup: 10 epochs are more than the 5 of the run'),
        (dict(warmup=2000, by_epoch=False), 'warmup: 2000 iterations are more'),
    ],
)
def test_refuses_a_warmup_longer_than_the_run(options, message):
    with pytest.raises(ValueError, match=message):
        CTKDLoss(**options).check_run(Progress(max_iterations=1000, max_epochs=5))


def test_refuses_epochs_in_a_run_of_iterations():
    loss, run = CTKDLoss(), Progress(max_iterations=1000)
    with pytest.raises(ValueError, match='warmup: by_epoch=True, but this run counts'):
        loss.check_run(run)
    CTKDLoss(warmup=0.5).check_run(run)


def test_temperature():
    loss = CTKDLoss(t_start=2.0, t_end=4.0)
    torch.nn.init.zeros_(loss.theta)
    assert loss.temperature() == 4.0


def test_logged():
    loss = CTKDLoss()
    loss.progress = Progress(epoch=5)
    logged = loss.logged()
    assert logged['tau'].item() == pytest.approx(TAU)
    assert logged['lambda'].item() == pytest.approx(0.5)
    assert not any(value.requires_grad for value in logged.values())


@pytest.mark.parametrize(
    ('bounds', 'message'),
    [
        ((0.0, 20.0), '^t_start must'),
        ((-1.0, 20.0), '^t_start must'),
        ((1.0, math.inf), '^t_end must'),
        ((1.0, 1e30), '^t_end must'),
        ((5.0, 5.0), 'needs t_start < t_end'),
        ((20.0, 1.0), 'needs t_start < t_end'),
    ],
)
def test_refuses_bad_bounds(bounds, message):
    with pytest.raises(ValueError, match=message):
        CTKDLoss(*bounds)


@pytest.mark.parametrize(
    ('warmup', 'message'),
    [(-1, 'warmup must be >= 0'), (1.5, 'warmup: 1.5 is a float, a fraction')],
)
def test_refuses_a_bad_warmup(warmup, message):
    with pytest.raises(ValueError, match=message):
        CTKDLoss(warmup=warmup)


@pytest.mark.parametrize('name', ['tau', 'tau_teacher'])
def test_refuses_a_temperature(name):
    with pytest.raises(TypeError, match=f'remove {name}'):
        CTKDLoss(**{name: 4.0})
