"""Configs times seeds: what is run, what survives a kill, what comes out."""

import csv
import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.conftest import HANGS

SWEEP = 'analysis/sweep.py'
LONG = ('train_cfg.max_iters=60', 'train_cfg.val_interval=60')


def read(path):
    with path.open(newline='') as file:
        return list(csv.DictReader(file))


def iterations(folder):
    """Logged iterations of a run over all its attempts."""
    found = []
    for path in sorted(folder.glob('*/vis_data/scalars.json')):
        records = [json.loads(line) for line in path.read_text().splitlines()]
        found.append([record['iter'] for record in records if 'iter' in record])
    return found


def until(condition):
    """Waits for something to hold; gives it."""
    end = time.monotonic() + HANGS
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    pytest.fail('it has not come to pass')


def last_checkpoint(folder):
    """The iteration of a run's last checkpoint, 0 if there is none."""
    path = folder / 'last_checkpoint'
    text = path.read_text() if path.exists() else ''
    return int(text.rpartition('_')[2].removesuffix('.pth')) if text else 0


def training(process):
    """The process of the training that a sweep has started."""
    children = Path(f'/proc/{process.pid}/task/{process.pid}/children')
    (child,) = children.read_text().split()
    return int(child)


def gone(pid):
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rpartition(')')[2].split()[0] == 'Z'
    except FileNotFoundError:
        return True


@pytest.fixture(scope='module')
def sweep(bench, kd):
    """Student and distilled, seeds 0 and 1, each with a teacher of its seed."""
    for seed in (0, 1):
        checkpoint = bench.folder / 'work_dirs/teacher/iter_4.pth'
        (bench.folder / f'teacher_{seed}.pth').write_bytes(checkpoint.read_bytes())
    arguments = (SWEEP, 'student.py', 'kd.py', '--seeds', 0, 1, '--jobs', 2)
    option = f'teacher.checkpoint={bench.folder}/teacher_{{seed}}.pth'
    arguments = (*arguments, '--work-dir', 'sweep', '--cfg-options', option)
    return arguments, bench.run(*arguments)


def test_runs(bench, sweep):
    for name in ('student', 'kd'):
        for seed in (0, 1):
            folder = bench.folder / 'sweep' / name / f'seed_{seed}'
            settings = json.loads((folder / 'settings.json').read_text())
            assert settings['randomness']['seed'] == seed
            if name == 'kd':
                teacher = settings['teacher']['checkpoint']
                assert teacher == str(bench.folder / f'teacher_{seed}.pth')
            assert iterations(folder) == [[1, 2, 3, 4]]
            assert (folder / 'iter_4.pth').exists()


def test_results(bench, sweep):
    rows = read(bench.folder / 'sweep/runs.csv')
    assert [(row['config'], row['seed']) for row in rows] == [
        ('student', '0'),
        ('student', '1'),
        ('kd', '0'),
        ('kd', '1'),
    ]
    values = {}
    for row in rows:
        folder = f'sweep/{row["config"]}/seed_{row["seed"]}'
        assert float(row['value']) == bench.scalars(folder)[-1]['mIoU']
        assert (row['metric'], row['iteration']) == ('mIoU', '4')
        assert int(row['seconds']) > 0
        values.setdefault(row['config'], []).append(float(row['value']))
    student, kd = read(bench.folder / 'sweep/summary.csv')
    assert float(student['mean']) == pytest.approx(sum(values['student']) / 2)
    assert student['difference'] == ''
    difference = (sum(values['kd']) - sum(values['student'])) / 2
    assert float(kd['difference']) == pytest.approx(difference)
    assert f'{difference:+.2f}' in sweep[1].output


def table_of(result):
    return [line for line in result.output.splitlines() if '│' in line]


def test_finished_runs_are_left_alone(bench, sweep):
    arguments, first = sweep
    before = sorted(path for path in bench.folder.glob('sweep/*/*/*'))
    again = bench.run(*arguments)
    assert before == sorted(path for path in bench.folder.glob('sweep/*/*/*'))
    assert 'running' not in again.output
    assert table_of(again) == table_of(first) != []


@pytest.mark.slow
def test_kill_of_everything(bench, kd):
    """Goes on from the last checkpoint: no more than an interval is lost."""
    arguments = (SWEEP, 'student.py', '--seeds', 0, '--work-dir', 'killed')
    arguments = (*arguments, '--cfg-options', *LONG)
    folder = bench.folder / 'killed/student/seed_0'
    process, _ = bench.start(*arguments)
    until(lambda: last_checkpoint(folder) >= 10)
    pid = training(process)
    process.kill()
    os.kill(pid, signal.SIGKILL)
    process.join()
    until(lambda: gone(pid))
    saved = last_checkpoint(folder)
    bench.run(*arguments)
    first, second = iterations(folder)
    assert second == list(range(saved + 1, 61))
    assert first[-1] - saved <= 2  # the interval of the checkpoints
    (row,) = read(bench.folder / 'killed/runs.csv')
    assert row['iteration'] == '60'


@pytest.mark.slow
def test_kill_of_the_sweep_alone(bench, kd):
    """The training goes on; the next call waits for it."""
    arguments = (SWEEP, 'student.py', '--seeds', 0, '--work-dir', 'orphan')
    arguments = (*arguments, '--cfg-options', *LONG)
    folder = bench.folder / 'orphan/student/seed_0'
    process, _ = bench.start(*arguments)
    until(lambda: last_checkpoint(folder))
    process.kill()
    process.join()
    again = bench.run(*arguments)
    assert 'student 0: elsewhere' in again.output
    assert 'student 0: finished' in again.output
    assert iterations(folder) == [list(range(1, 61))]


@pytest.mark.parametrize(
    'number', [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_stop_saves(bench, kd, number):
    arguments = (SWEEP, 'student.py', '--seeds', 0, '--work-dir', f'stopped_{number}')
    # Checkpoints at the end only, and on the signal.
    options = (*LONG, 'default_hooks.checkpoint.interval=60')
    folder = bench.folder / f'stopped_{number}/student/seed_0'
    process, log = bench.start(*arguments, '--cfg-options', *options)
    until(lambda: any(iterations(folder)))
    os.kill(process.pid, number)
    result = bench.finish(process, log)
    assert result.code == 128 + number
    assert 'Traceback' not in result.output
    (done,) = iterations(folder)
    assert last_checkpoint(folder) == done[-1] < 60


@pytest.mark.slow
def test_one_failure(bench, kd):
    """The others are run; what went wrong is said."""
    bad = "_base_ = 'student.py'\nmodel = dict(decode_head=dict(in_channels=7))\n"
    bench.write('bad.py', bad)
    arguments = (SWEEP, 'bad.py', 'student.py', '--seeds', 0, '--work-dir', 'some')
    result = bench.run(*arguments, code=1)
    assert 'bad 0: failed: RuntimeError: ' in result.output
    assert 'some/bad/seed_0/output.log' in ''.join(result.output.split())
    assert 'student 0: finished' in result.output
    assert '1 of 2 runs failed' in result.output
    (row,) = read(bench.folder / 'some/runs.csv')
    assert row['config'] == 'student'


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('student.py', './student.py'), 'configs: student is given twice'),
        (('student.py', '--seeds', 1, 1), 'seeds: 1 is given twice'),
        (('student.py', '--jobs', 0), '--jobs must be at least 1'),
        (('gone.py',), "config: 'gone.py' does not exist"),
        (
            ('student.py', '--cfg-options', 'teacher.checkpoint=a.pth'),
            'teacher.checkpoint: none of the configs has a teacher',
        ),
    ],
)
def test_bad_arguments(bench, kd, arguments, message):
    result = bench.run(SWEEP, '--work-dir', 'bad', *arguments, code=None)
    assert result.code in (1, 2)
    assert message in result.output
    assert 'Traceback' not in result.output
