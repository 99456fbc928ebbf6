import pytest

from mmkd.losses import Progress, WeightSchedule
from mmkd.losses.schedule import elapsed


def factors(schedule, steps, **run):
    """Factors at the first iterations, of which two are an epoch."""
    return [schedule.factor(Progress(i, i // 2, **run)) for i in range(steps)]


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (dict(), [1, 1, 1, 1, 1, 1]),
        (dict(warmup=4), [0.25, 0.5, 0.75, 1, 1, 1]),
        (dict(warmup=0.5), [0.25, 0.5, 0.75, 1, 1, 1]),
        (dict(warmup=1), [1, 1, 1, 1, 1, 1]),
        (dict(warmup=1.0), [0.125, 0.25, 0.375, 0.5, 0.625, 0.75]),
        (dict(warmup=4, by_epoch=True), [0.25, 0.25, 0.5, 0.5, 0.75, 0.75]),
        (dict(warmup=0.5, by_epoch=True), [0.25, 0.5, 0.75, 1, 1, 1]),
        (dict(stop=2), [1, 1, 0, 0, 0, 0]),
        (dict(stop=0.5), [1, 1, 1, 1, 0, 0]),
        (dict(stop=2, by_epoch=True), [1, 1, 1, 1, 0, 0]),
        (dict(warmup=2, stop=0.5), [0.5, 1, 1, 1, 0, 0]),
    ],
)
def test_factor(options, expected):
    schedule = WeightSchedule(**options)
    run = dict(max_iterations=8, max_epochs=4)
    assert factors(schedule, 6, **run) == expected
    schedule.check(Progress(**run))


def test_numbers_of_iterations_need_no_length():
    assert factors(WeightSchedule(warmup=4, stop=5), 6) == [0.25, 0.5, 0.75, 1, 1, 0]


def test_a_duration_of_0_has_elapsed():
    assert elapsed(0, False, Progress()) == 1


@pytest.mark.parametrize('options', [dict(warmup=0.5), dict(stop=0.5)])
def test_a_fraction_needs_the_length(options):
    message = (
        r'^a duration of 0\.5 is a fraction of the run, but the length of the run is '
        'not known here; give a number of iterations$'
    )
    with pytest.raises(ValueError, match=message):
        WeightSchedule(**options).factor(Progress())


FRACTION = (
    'is a float, a fraction of the run, and must be at most 1; use an int for a '
    'number of iterations or epochs'
)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(warmup=-1), 'schedule.warmup must be >= 0, but is -1'),
        (dict(warmup=1.5), f'schedule.warmup: 1.5 {FRACTION}'),
        (dict(stop=-0.5), 'schedule.stop must be >= 0, but is -0.5'),
        (dict(stop=2.0), f'schedule.stop: 2.0 {FRACTION}'),
        (
            dict(stop=0),
            'schedule.stop must be > 0, but is 0; remove the loss, or set None to keep '
            'it until the end',
        ),
    ],
)
def test_refuses_bad_durations(options, message):
    with pytest.raises(ValueError, match='schedule') as raised:
        WeightSchedule(**options)
    assert str(raised.value) == message


@pytest.mark.parametrize('name', ['warmup', 'stop'])
def test_refuses_a_duration_that_is_no_number(name):
    with pytest.raises(TypeError, match=rf'^schedule\.{name} must be a number, '):
        WeightSchedule(**{name: '2'})


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(warmup=9), '9 iterations are more than the 8'),
        (dict(warmup=5, by_epoch=True), '5 epochs are more than the 4'),
    ],
)
def test_refuses_a_warmup_longer_than_the_run(options, message):
    with pytest.raises(ValueError, match='warmup') as raised:
        WeightSchedule(**options).check(Progress(max_iterations=8, max_epochs=4))
    assert str(raised.value) == (
        f'schedule.warmup: {message} of the run; decrease it, or give a fraction of '
        'the run such as 0.05'
    )


@pytest.mark.parametrize('options', [dict(warmup=8), dict(warmup=4, by_epoch=True)])
def test_a_warmup_as_long_as_the_run_is_allowed(options):
    WeightSchedule(**options).check(Progress(max_iterations=8, max_epochs=4))


@pytest.mark.parametrize('name', ['warmup', 'stop'])
def test_refuses_epochs_in_a_run_of_iterations(name):
    run = Progress(max_iterations=8)
    message = (
        rf'^schedule\.{name}: by_epoch=True, but this run counts iterations; give a '
        r'fraction of the run, or iterations with by_epoch=False$'
    )
    with pytest.raises(ValueError, match=message):
        WeightSchedule(**{name: 2}, by_epoch=True).check(run)
    WeightSchedule(**{name: 0.5}, by_epoch=True).check(run)


def test_a_stop_after_the_end_of_the_run_is_allowed():
    WeightSchedule(stop=9).check(Progress(max_iterations=8))


def test_any_duration_suits_a_run_of_unknown_length():
    WeightSchedule(warmup=1000).check(Progress())
