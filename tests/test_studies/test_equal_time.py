"""Comparison at equal time, against values computed by hand."""

import pytest

from studies.equal_time import (
    at_equal_time,
    differences,
    equal_time_table,
    timed_table,
)


def records(seconds, *values):
    return {
        seed: dict(metrics={'mIoU': value}, training_seconds=seconds)
        for seed, value in enumerate(values)
    }


RUNS = {
    'baseline': records(100.0, 40.0, 42.0, 41.0),
    'kd': records(200.0**0.5 * 10, 43.0, 46.0, 44.0),  # halfway, logarithmically
    'slow': records(200.0, 40.5, 43.5, 40.5),
}
LONG = {'baseline': records(200.0, 42.0, 43.0, 42.0)}


@pytest.mark.parametrize(
    ('seconds', 'expected'),
    [
        (100.0, [40.0, 42.0, 41.0]),
        (200.0**0.5 * 10, [41.0, 42.5, 41.5]),
        (200.0, [42.0, 43.0, 42.0]),
        (400.0, [44.0, 44.0, 43.0]),
    ],
)
def test_baseline_at_a_time(seconds, expected):
    found = at_equal_time(RUNS['baseline'], LONG['baseline'], seconds, 'mIoU')
    assert found == pytest.approx(dict(enumerate(expected)))


def test_only_common_seeds_are_compared():
    long = {'baseline': {1: LONG['baseline'][1]}}
    found = differences(RUNS, 'baseline', long, ['kd'], 'mIoU')
    assert found == {'kd': pytest.approx({1: 3.5})}


def test_table():
    columns, rows = equal_time_table(RUNS, 'baseline', LONG, ['kd', 'slow'], 'mIoU')
    baseline, twice, kd, slow = (dict(zip(columns, row, strict=True)) for row in rows)
    assert (baseline['method'], twice['method']) == ('baseline', 'twice as long')
    assert (twice['mIoU'], twice['time, s']) == ('42.33 ± 0.58', '200')
    assert kd['at equal iterations'] == '+3.33 ± 0.58'
    assert kd['at equal time'] == '+2.67 ± 0.76'
    assert (kd['above'], kd['p'], kd['p (Holm)']) == ('3 of 3', '0.026', '0.053')
    assert slow['at equal time'] == '-0.83 ± 1.15'
    assert slow['p (Holm)'] == slow['p']  # the largest


def test_table_at_equal_iterations():
    columns, rows = timed_table(RUNS, 'baseline', 'mIoU')
    baseline, kd, _ = (dict(zip(columns, row, strict=True)) for row in rows)
    assert columns[2:5] == ['mIoU', 'time, s', 'difference to baseline']
    assert (baseline['mIoU'], baseline['time, s']) == ('41.00 ± 1.00', '100')
    assert (kd['time, s'], kd['difference to baseline']) == ('141', '+3.33 ± 0.58')
