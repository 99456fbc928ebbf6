"""Findings about runs that have ended."""

import pytest

from mmkd.runs.doctor import diagnose
from mmkd.runs.findings import missing_classes_finding
from mmkd.runs.run_directory import RunDirectory
from tests.test_analysis.runs import step, teacher_at, validation, write_run

TEACHER = teacher_at('t.pth')


def losses(iteration, kd, **more):
    more |= {'distill.loss_kd': kd, 'decode.loss_ce': 1.0, 'time_losses': 30.0}
    return step(iteration, **more)


@pytest.fixture
def diagnosed(tmp_path):
    def diagnosed(*records, teacher=TEACHER, **settings):
        write_run(tmp_path, *records, teacher=teacher, **settings)
        return diagnose(RunDirectory(tmp_path))

    return diagnosed


def test_nothing(diagnosed):
    records = [losses(i, 0.5) for i in (50, 100)]
    records.append(validation(100, 30.0, **{'teacher/mIoU': 40.0}))
    assert diagnosed(*records) == []


def test_batch_size(diagnosed):
    """Two processes, as logged."""
    base = 'auto_scale_lr = dict(base_batch_size={})'
    assert diagnosed(step(1), teacher=base.format(4)) == []
    (line,) = diagnosed(step(1), teacher=base.format(8), attempt=9)
    assert '2 processes x batch size 2 = 4; ' in line


@pytest.mark.parametrize('name', ['Teacher', 'Mean of the teachers'])
def test_teacher(diagnosed, name):
    """Compared by the last validation; as measured on some images."""
    teacher = {'teacher/mIoU': 40.0}
    records = [step(1), validation(1, 50.0, **teacher), validation(2, 3, **teacher)]
    log = f'... - INFO - {name} on 128 of 500 images: mIoU: 40'
    assert diagnosed(*records, log=log) == []
    (line,) = diagnosed(step(3), validation(4, 45.0, **teacher), attempt=9)
    assert "40.00 on 128 of 500 images is not above the student's 45.00" in line


@pytest.mark.parametrize('interval', [1, 10, 50, 200])
@pytest.mark.parametrize(('kd', 'what'), [(0.01, 'below 1/20'), (30.0, 'above 20')])
def test_losses(diagnosed, interval, kd, what):
    records = [losses(i, kd) for i in range(interval, 401, interval)]
    (line,) = diagnosed(*records)
    assert what in line


@pytest.mark.parametrize(
    ('weights', 'found'), [((0.1, 0.1), False), ((1.0, 1.0), False), ((2.0, 2.0), True)]
)
def test_schedule(diagnosed, weights, found):
    """A weight that is logged is compared with the config's."""
    config = TEACHER.replace('tau=4.0', 'loss_weight=2')
    records = [
        losses(50 * i, 0.01, **{'distill.weight_kd': weight})
        for i, weight in enumerate(weights)
    ]
    assert bool(diagnosed(*records, teacher=config)) == found


@pytest.mark.parametrize('split', ['train', 'val'])
def test_missing_classes(diagnosed, split):
    """A finding logged by both attempts is reported once."""
    line = missing_classes_finding(split, ["2 'c'"], 255)
    log = f'2026/01/01 00:00:00 - mmengine - WARNING - {line}'
    assert diagnosed(step(1), log=log) == [line]
    assert diagnosed(step(2), log=log, attempt=9) == [line]
