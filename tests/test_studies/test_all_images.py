from math import log2

import pytest

from studies.camvid.all_images import (
    GROUP,
    all_images,
    all_images_table,
    teachers_table,
)
from studies.camvid.plan import PLAN
from studies.camvid_page import equal_time
from studies.camvid_plan import METRIC
from tests.test_tools.conftest import REPO


@pytest.fixture(autouse=True)
def repository(monkeypatch):
    monkeypatch.chdir(REPO)


def test_trainings():
    teacher, *students = all_images(PLAN.trials)
    assert not any('indices' in key for key in teacher.options)
    lengths = {trial.options['train_cfg.max_iters'] for trial in (teacher, *students)}
    assert lengths == {6400}
    usual = PLAN.distilled(PLAN.trials, 6400, 0, ['KD'])[0]
    assert {
        key for key, value in students[0].options.items() if value != usual.options[key]
    } == {'teacher.checkpoint'}


def test_table():
    """The teacher's mIoU, and its students 3 mIoU above the baseline."""
    trials = PLAN.trials
    short, long = (trials.values(f'{n} iterations', METRIC) for n in (6400, 12800))
    trials.records[GROUP, 'teacher', 0] = dict(
        group=GROUP, method='teacher', seed=0, metrics={METRIC: 60.0}
    )
    for seed in PLAN.seeds:
        value = short['baseline'][seed] + 3
        trials.records[GROUP, 'KD', seed] = dict(
            group=GROUP, method='KD', seed=seed, metrics={METRIC: value}
        )
    columns, rows = all_images_table(trials)
    assert [row[0] for row in rows] == ['baseline', 'twice as long', 'KD', 'teacher']
    *_, kd, teacher = rows
    assert teacher[:4] == ['teacher', '1', '60.00', '-']
    cells = dict(zip(columns, kd, strict=True))
    assert cells['at equal iterations'] == '+3.00 ± 0.00'
    gained = [long['baseline'][s] - short['baseline'][s] for s in PLAN.seeds]
    expected = 3 - log2(equal_time(trials).ratio('KD')) * sum(gained) / 3
    found = float(cells['at equal time'].partition(' ')[0])
    assert found == pytest.approx(expected, abs=0.005)


def test_teachers():
    """Students of the second teacher, 1 mIoU below those of the first."""
    trials = PLAN.trials
    first = trials.values('6400 iterations', METRIC)['KD']
    for seed in PLAN.seeds:
        metrics = {METRIC: first[seed] - 1}
        trials.records[GROUP, 'KD', seed] = dict(
            group=GROUP, method='KD', seed=seed, metrics=metrics
        )
    columns, rows = teachers_table(trials)
    assert columns[0] == 'teacher'
    assert [row[1] for row in rows] == ['5', '3']
    assert '-1.00 ± 0.00' in rows[1]
