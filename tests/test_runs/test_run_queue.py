"""Order, failures and signals of a queue, with a stand-in for the training."""

import io
import re
import signal
import subprocess
import sys
import time

import pytest
from rich.console import Console

from mmkd.errors import UserError
from mmkd.runs.run_queue import RunQueue, clock, slot_environments
from mmkd.runs.training import Training
from tests.conftest import HANGS

CONFIG = "model = dict(type='EncoderDecoder')\ntrain_cfg = dict(max_iters=8)\n"
TRAIN = """
import fcntl, json, sys, time
from pathlib import Path
folder = Path(sys.argv[3])
time.sleep(0.5)
lock = (folder / 'lock').open('a')
try:
    fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    sys.exit('error: another process trains there')
options = dict(option.split('=', 1) for option in sys.argv[6:])
teacher = options.get('teacher.checkpoint') or options.get('teacher.fine.checkpoint')
if teacher and not Path(teacher).exists():
    sys.exit(f'error: {teacher} does not exist')
print('begun', flush=True)
time.sleep(float(options.get('seconds', 0.3)))
logs = folder / time.strftime('%Y%m%d_%H%M%S') / 'vis_data'
logs.mkdir(parents=True)
(folder / 'iter_8.pth').touch()
(folder / 'last_checkpoint').write_text('iter_8.pth')
(logs / 'scalars.json').write_text('{"mIoU": 3.0, "step": 8}')
"""
QUEUE = """
import sys
from pathlib import Path
from mmkd.runs.run_queue import RunQueue
from mmkd.runs.training import Training
folder = Path(sys.argv[1])
config, options = str(folder / 'config.py'), {'seconds': 60}
run = Training(config, folder / 'run', options, script=folder / 'train.py')
RunQueue([run]).execute()
"""


@pytest.fixture
def make(tmp_path):
    """Returns trainings whose program is a script."""
    (tmp_path / 'config.py').write_text(CONFIG)
    (tmp_path / 'train.py').write_text(TRAIN)

    def make(name, script=None, **options):
        train = tmp_path / 'train.py'
        if script:
            train.write_text(script)
        options = {key.replace('__', '.'): value for key, value in options.items()}
        config = str(tmp_path / 'config.py')
        return Training(config, tmp_path / name, options, script=train)

    return make


def execute(*queue, jobs=1, report=30.0):
    screen = io.StringIO()
    console = Console(file=screen, width=40)
    failed = RunQueue(queue, jobs, console, poll=0.05, report=report).execute()
    return failed, screen.getvalue()


@pytest.mark.parametrize('orphan', [False, 'locked', 'not locked yet'])
def test_a_distillation_waits_for_its_teacher(make, orphan):
    """Even if another process trains that, and slots are free."""
    teacher = make('teacher')
    checkpoint = str(teacher.work_dir / 'iter_8.pth')
    key = 'teacher__fine__checkpoint' if orphan else 'teacher__checkpoint'
    student = make('student', **{key: checkpoint})
    process = teacher.start() if orphan else None
    while orphan == 'locked' and not teacher.in_use:
        time.sleep(0.01)
    failed, screen = execute(teacher, student, jobs=2)
    if process:  # if it is not locked yet, either of both processes gets the lock
        assert process.wait() == 0 or orphan == 'not locked yet'
        assert 'teacher: elsewhere' in screen or process.wait() == 1
    assert failed == []
    assert screen.index('teacher: finished') < screen.index('student: running')
    assert screen.endswith('\n')


def test_progress_without_a_terminal(make):
    """A line now and then, before it has ended."""
    script = TRAIN.replace(
        "(folder / 'iter_8.pth').touch()",
        """
(logs / 'scalars.json').write_text('{"iter": 2, "loss": 1.0, "step": 2}')
time.sleep(1)
(folder / 'iter_8.pth').touch()""",
    )
    failed, screen = execute(make('run', script), report=0.2)
    assert failed == []
    lines = [line for line in screen.splitlines() if line.startswith('run: ')]
    assert lines[0] == 'run: running'
    assert lines[-1] == 'run: finished'
    progress = r'run: 2/8, \d:\d\d:\d\d left'
    assert any(re.fullmatch(progress, line) for line in lines)


def test_a_distillation_of_a_failed_teacher_fails(make):
    script = TRAIN.replace(
        'sys.argv[3])', "sys.argv[3])\nassert 'teach' != folder.name"
    )
    teacher = make('teach', script)
    checkpoint = str(teacher.work_dir / 'iter_8.pth')
    student = make('student', teacher__checkpoint=checkpoint)
    failed, screen = execute(teacher, student)
    assert failed == [teacher, student]
    assert 'student: failed: error: ' in screen


def test_a_finished_run_is_not_started(make):
    """Another process may have finished it while it waited here."""
    run = make('run')
    assert run.start().wait() == 0
    assert run.directory.finished
    assert run.start() is None
    queue = RunQueue([make('run')], console=Console(file=io.StringIO()))
    assert queue.queue[0].directory.finished


def test_reasons_are_printed_as_they_are(make):
    """A reason with markup is printed in one line at any width."""
    script = "print('RuntimeError: no [/conv1] in [blue]'); raise SystemExit(1)"
    run = make('a_name_that_is_longer_than_the_screen_is_wide', script)
    _, screen = execute(run)
    reason = 'RuntimeError: no [/conv1] in [blue]'
    log = run.work_dir / 'output.log'
    assert f'{run.name}: failed: {reason} (see {log})\n' in screen


def test_noise_after_the_error_is_no_reason(make):
    noise = "print('RuntimeError: the cause\\nleaked:\\n  warnings.warn('); exit(1)"
    _, screen = execute(make('run', noise))
    assert 'run: failed: RuntimeError: the cause (see' in screen


def test_a_killed_training_says_so(make):
    script = 'import os; print("[2/8] loss: 3", flush=True); os.kill(os.getpid(), 9)'
    _, screen = execute(make('run', script))
    assert 'run: failed: it was ended by SIGKILL' in screen


def test_a_folder_without_settings_is_refused(make):
    """One that tools/train.py alone has trained in, with who knows what."""
    run = make('run')
    run.work_dir.mkdir()
    (run.work_dir / 'last_checkpoint').write_text('iter_4.pth')
    with pytest.raises(UserError, match=r'unknown settings.*settings\.json'):
        RunQueue([run])


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_in_silence(make, tmp_path, number):
    make('run')
    process = subprocess.Popen(
        [sys.executable, '-W', 'ignore', '-c', QUEUE, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    log, end = tmp_path / 'run' / 'output.log', time.monotonic() + HANGS
    while not (log.exists() and 'begun' in log.read_text()):
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(number)
    output, _ = process.communicate(timeout=HANGS)
    assert process.returncode == 128 + number
    assert 'Traceback' not in output
    assert make('run').start() is not None  # the training is gone, and its lock


def test_shares_of_the_cores(monkeypatch):
    monkeypatch.setattr('os.cpu_count', lambda: 8)
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    assert slot_environments(1) == [{}]
    assert slot_environments(2) == [{'OMP_NUM_THREADS': '4'}] * 2
    assert slot_environments(20) == [{'OMP_NUM_THREADS': '1'}] * 20
    monkeypatch.setenv('OMP_NUM_THREADS', '3')
    assert slot_environments(2) == [{'OMP_NUM_THREADS': '3'}] * 2


def test_shares_of_the_gpus(monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    monkeypatch.setattr('torch.cuda.device_count', lambda: 2)
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    assert [share['CUDA_VISIBLE_DEVICES'] for share in slot_environments(3)] == [
        '0',
        '1',
        '0',
    ]
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '5,7')
    assert [share['CUDA_VISIBLE_DEVICES'] for share in slot_environments(2)] == [
        '5',
        '7',
    ]


def test_clock():
    assert clock(None) == '?'
    assert clock(3725.4) == '1:02:05'
