"""Comparison at equal time, against values computed by hand."""

import pytest

from studies.equal_time import EqualTime, at_equal_time, seconds_of


def records(*values):
    return {seed: dict(metrics={'mIoU': value}) for seed, value in enumerate(values)}


RUNS = {
    'baseline': records(40.0, 42.0, 41.0),
    'kd': records(43.0, 46.0, 44.0),
    'slow': records(40.5, 43.5, 40.5),
}
LONG = {'baseline': records(42.0, 43.0, 42.0)}
SECONDS = {'baseline': 0.1, 'kd': 0.1 * 2**0.5, 'slow': 0.2}
EQUAL = EqualTime('baseline', SECONDS, 'mIoU')


@pytest.mark.parametrize(
    ('ratio', 'expected'),
    [
        (1.0, [40.0, 42.0, 41.0]),
        (2**0.5, [41.0, 42.5, 41.5]),
        (2.0, [42.0, 43.0, 42.0]),
        (4.0, [44.0, 44.0, 43.0]),
    ],
)
def test_baseline_at_a_time(ratio, expected):
    found = at_equal_time(RUNS['baseline'], LONG['baseline'], ratio, 'mIoU')
    assert found == pytest.approx(dict(enumerate(expected)))


def test_only_common_seeds_are_compared():
    long = {'baseline': {1: LONG['baseline'][1]}}
    found = EQUAL.differences(RUNS, long, ['kd'])
    assert found == {'kd': pytest.approx({1: 3.5})}


def test_table():
    columns, rows = EQUAL.table(RUNS, LONG, ['kd', 'slow'])
    baseline, twice, kd, slow = (dict(zip(columns, row, strict=True)) for row in rows)
    assert (baseline['method'], twice['method']) == ('baseline', 'twice as long')
    assert (twice['mIoU'], twice['time']) == ('42.33 ± 0.58', '2')
    assert kd['time'] == '1.41'
    assert kd['at equal iterations'] == '+3.33 ± 0.58'
    assert kd['at equal time'] == '+2.67 ± 0.76'
    assert (kd['above'], kd['p'], kd['p (Holm)']) == ('3 of 3', '0.026', '0.053')
    assert slow['at equal time'] == '-0.83 ± 1.15'
    assert slow['p (Holm)'] == slow['p']  # the largest


def test_time_of_an_iteration():
    times = {
        'kd': {
            seed: dict(training_seconds=seconds, length=10)
            for seed, seconds in enumerate([2.0, 9.0, 1.0])
        }
    }
    assert seconds_of(times) == {'kd': 0.2}


def test_table_of_gains():
    several = {n: records(40 + d, 41 + d, 42 + d) for n, d in ((10, 0), (20, 1))}
    lengths = {
        10: {'baseline': several[10], 'kd': records(43.0, 44.1, 45.0)},
        20: {'baseline': several[20], 'slow': records(43.0, 41.0, 43.0)},
        40: {'baseline': several[20]},
    }
    columns, rows = EQUAL.gains(lengths, [10, 20], ['kd', 'slow'])
    assert columns == ['method', 'time', '10 iterations', '20 iterations']
    assert rows == [
        ['kd', '1.41', '**+2.53 ± 0.06**', '-'],
        ['slow', '2.00', '-', '+0.33 ± 1.53'],
    ]
