import math

import pytest

from mmkd.analysis.history import History, find_histories

from .runs import BIG, distiller, step, table, validation, write_run


@pytest.fixture
def resumed(tmp_path):
    """A run that was killed after four iterations, and went on from the second."""
    folder = tmp_path / 'kd' / 'seed_3'
    teacher = {'teacher/mIoU': 40.0}
    model = distiller('t.pth')
    records = (
        {**teacher, 'step': 0},
        step(1),
        validation(2, 20.0),
        step(3),
        step(4),
        validation(4, 9),
    )
    text = table(road=90.0, sky=70.0) + table(road=50.0, sky=10.0)
    write_run(folder, *records, model=model, seed=3, text=text)
    later = (step(3, loss=5.0), step(4, memory=700), validation(4, 31.0, **teacher))
    text = table(road=92.5, **{'traffic sign': math.nan})
    write_run(folder, *later, model=model, seed=3, text=text, attempt=9)
    return History(folder)


def test_the_last_attempt_counts(resumed):
    assert {i: r['loss'] for i, r in resumed.training.items()} == {1: 2, 3: 5, 4: 2}
    assert {i: v['mIoU'] for i, v in resumed.validations.items()} == {2: 20.0, 4: 31.0}
    assert resumed.last == dict(mIoU=31.0, aAcc=80.0)
    assert resumed.best('aAcc') == 80.0
    assert resumed.best('mIoU') == 31.0
    assert resumed.finished


def test_classes_are_those_of_the_last_validation(resumed):
    assert list(resumed.classes) == ['road', 'traffic sign']
    assert resumed.classes['road'] == 92.5
    assert math.isnan(resumed.classes['traffic sign'])


def test_what_it_is(resumed):
    assert (resumed.method, resumed.seed) == ('kd', 3)
    assert resumed.distilled
    assert (resumed.total, resumed.unit) == (4, 'iteration')
    assert resumed.teacher == dict(mIoU=40.0)
    assert resumed.environment['GPU 0,1'] == 'NVIDIA H200'
    assert resumed.environment['PyTorch'] == '2.15.0'


def test_medians(resumed):
    assert resumed.median('loss') == 2.0
    assert resumed.median('memory') == 700
    assert resumed.median('lr') is None


def test_epochs_and_no_classes(tmp_path):
    folder = write_run(
        tmp_path / 'teacher', step(35, epoch=1), validation(1, 20.0), model=BIG,
        length='max_epochs=2',
    )  # fmt: skip
    run = History(folder)
    assert (run.unit, run.total, run.finished) == ('epoch', 2, False)
    assert run.method == 'teacher'
    assert run.classes == {}
    assert not run.distilled


def test_finding(tmp_path):
    a = write_run(tmp_path / 'sweep' / 'kd' / 'seed_0', step(1))
    b = write_run(tmp_path / 'sweep' / 'alone', step(1))
    write_run(tmp_path / 'sweep' / 'tested', validation(0, 3.0))  # by test.py
    assert [run.folder for run in find_histories(tmp_path)] == [b, a]
    assert [run.folder for run in find_histories(a)] == [a]
    assert find_histories(tmp_path / 'sweep' / 'tested') == []
