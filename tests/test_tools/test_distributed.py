"""Two processes on a machine without a GPU: gloo, and SyncBN configs train as BN."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mmkd.engine.work_dir_lock import is_locked
from tests.conftest import HANGS

from .conftest import environment, python_path

TOOLS = Path(__file__).parents[2] / 'tools'

pytestmark = [
    pytest.mark.skipif(torch.cuda.is_available(), reason='for machines without a GPU'),
    pytest.mark.skipif(not torch.distributed.is_available(), reason='no gloo'),
]


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return str(probe.getsockname()[1])


@pytest.fixture(scope='module')
def trained(bench, kd):
    return bench.shell(
        'bash', TOOLS / 'dist_train.sh', kd, 2, '--work-dir', 'dist', PORT=free_port()
    )


def test_training(bench, kd, trained):
    assert 'SyncBN' in (bench.folder / 'work_dirs/teacher/teacher.py').read_text()
    assert trained.code == 0, trained.output[-4000:]
    assert trained.iterations() == [1, 2, 3, 4]  # logged by one process
    assert trained.output.count('Teacher on 5 of 5 images: ') == 1
    assert trained.output.count(' 2 processes x batch size 2 = 4; ') == 1


def test_teacher_has_the_metric_of_one_process(distilled, trained):
    assert trained.metrics[0] == distilled.metrics[0]


def test_testing(bench, kd, trained):
    checkpoint = 'dist/iter_4.pth'
    tested = bench.shell(
        'bash', TOOLS / 'dist_test.sh', kd, checkpoint, 2, PORT=free_port()
    )
    assert tested.code == 0, tested.output[-4000:]
    alone = bench.run('test.py', kd, checkpoint)
    assert tested.metrics == alone.metrics
    assert tested.metrics == trained.metrics[-1:]


@pytest.mark.parametrize(
    'script', sorted(path.name for path in TOOLS.glob('*.sh')), ids=str
)
def test_usage(bench, script):
    done = bench.shell('bash', TOOLS / script)
    assert done.code != 0
    assert f'usage: {script} ' in done.output


WRAPPED = """
_base_ = 'kd.py'
custom_imports = dict(imports=['wrapper'])
custom_hooks = [dict(type='PrintsHook')]
model_wrapper_cfg = dict(type='MyWrapper', find_unused_parameters=True)
train_cfg = dict(max_iters=2)
val_cfg = val_dataloader = val_evaluator = None
"""
WRAPPER = """
import os

from mmengine.hooks import Hook
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import HOOKS, MODEL_WRAPPERS

@MODEL_WRAPPERS.register_module()
class MyWrapper(MMDistributedDataParallel):
    pass

@HOOKS.register_module()
class PrintsHook(Hook):
    def before_train(self, runner):
        model = runner.model
        text = f'{type(model).__name__} {model.find_unused_parameters}'
        os.write(1, f'{text}\\n'.encode())  # at once: two processes write
"""


@pytest.mark.slow
def test_model_wrapper_of_the_config(bench, kd):
    bench.write('wrapper.py', WRAPPER)
    config = bench.write('wrapped.py', WRAPPED)
    done = bench.shell(
        'bash', TOOLS / 'dist_train.sh', config, 2, '--work-dir', 'wrapped',
        PORT=free_port(), PYTHONPATH=python_path(bench.folder),
    )  # fmt: skip
    assert done.code == 0, done.output[-4000:]
    assert done.output.count('MyWrapper True') == 2
    assert done.iterations() == [1, 2]


BROKEN = """
_base_ = 'kd.py'
custom_imports = dict(imports=['breaks'])
custom_hooks = [dict(type='BreaksHook')]
train_cfg = dict(max_iters=1000, val_interval=1000)
"""
BREAKS = """
import os, signal

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class BreaksHook(Hook):
    def __init__(self, how='raise'):
        self.how = how

    def after_train_iter(self, runner, *args, **kwargs):
        if get_rank() == 1 and runner.iter == 2:
            if self.how == 'exit':
                os._exit(0)
            if self.how == 'stop':
                os.kill(os.getpid(), signal.SIGSTOP)
            raise ValueError('this worker breaks')
"""


def break_one(bench, how):
    """A job whose second process ends at its third iteration."""
    bench.write('breaks.py', BREAKS)
    config = bench.write('broken.py', BROKEN)
    done = bench.shell(
        'bash', TOOLS / 'dist_train.sh', config, 2, '--work-dir', f'broken_{how}',
        '--cfg-options', f'custom_hooks.0.how={how}', 'env_cfg.dist_cfg.timeout=5',
        PORT=free_port(), PYTHONPATH=python_path(bench.folder),
    )  # fmt: skip
    assert done.code not in (0, None)
    return done


@pytest.mark.slow
def test_a_worker_that_raises_ends_the_job(bench, kd):
    """A failing worker ends the run, with its traceback."""
    done = break_one(bench, 'raise')
    assert 'Traceback' in done.output
    assert 'ValueError: this worker breaks' in done.output
    assert done.output.splitlines()[-1].startswith('error: process 1 ended with')


@pytest.mark.parametrize(
    ('how', 'expected'),
    [
        ('exit', 'process 0 lost its connection to process 1, which ended first'),
        # torchrun waits half a minute for it to end.
        pytest.param(
            'stop',
            'process 0 has waited too long for process 1, which is stopped',
            marks=pytest.mark.slow,
        ),
    ],
)
@pytest.mark.slow
def test_a_worker_that_says_nothing_is_named(bench, kd, how, expected):
    done = break_one(bench, how)
    assert f'error: {expected}' in done.output
    assert 'process 0 ended' not in done.output
    assert 'Traceback' not in done.output


def processes_of(work_dir):
    """Numbers and environments of the processes that train in a work_dir."""
    found = {}
    for folder in Path('/proc').glob('[0-9]*'):
        with contextlib.suppress(OSError):
            if work_dir.encode() in (folder / 'cmdline').read_bytes().split(b'\0'):
                found[int(folder.name)] = (folder / 'environ').read_bytes().split(b'\0')
    return found


@contextlib.contextmanager
def training(bench, config, work_dir, *options):
    """A job of two processes that trains; gives it and its log."""
    log = bench.folder / f'{work_dir}.txt'
    command = ['bash', str(TOOLS / 'dist_train.sh'), config, '2', '--work-dir']
    command += [work_dir, '--cfg-options', 'train_cfg.max_iters=100000', *options]
    with log.open('wb') as file:
        job = subprocess.Popen(
            command,
            cwd=bench.folder,
            env={**environment(), 'PORT': free_port()},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        until = time.monotonic() + HANGS
        while 'Iter(train)' not in log.read_text() and time.monotonic() < until:
            assert job.poll() is None, log.read_text()[-2000:]
            time.sleep(0.1)
        yield job, log
    finally:
        job.kill()
        job.wait()


def test_a_worker_that_is_killed_ends_the_job(bench, kd):
    with training(bench, kd, 'one_killed') as (job, log):
        for number, variables in processes_of('one_killed').items():
            if b'LOCAL_RANK=1' in variables:
                os.kill(number, signal.SIGKILL)
        assert job.wait(HANGS) not in (0, None)
        assert 'Signal 9 (SIGKILL)' in log.read_text()


def test_ctrl_c_ends_the_launcher_without_a_traceback(tmp_path):
    script, ready = tmp_path / 'script.py', tmp_path / 'ready'
    script.write_text(f"""
import signal, time
signal.signal(signal.SIGINT, signal.SIG_DFL)
open({str(ready)!r}, 'w').close()
time.sleep({HANGS})
""")
    module = '-m', 'mmkd.engine.torchrun', '--nproc-per-node=1'
    launcher = subprocess.Popen(
        [sys.executable, *module, f'--master-port={free_port()}', script],
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    while not ready.exists() and launcher.poll() is None:
        time.sleep(0.1)
    launcher.send_signal(signal.SIGINT)
    _, errors = launcher.communicate(timeout=HANGS)
    assert launcher.returncode == 128 + signal.SIGINT, errors
    assert 'Traceback' not in errors


@pytest.mark.slow
def test_a_killed_launcher_leaves_nothing(bench, kd):
    """Neither processes nor a lock; until then no other may train there."""
    workers = ('train_dataloader.num_workers=1',)
    with training(bench, kd, 'orphans', *workers) as (job, log):
        second = bench.run('train.py', kd, '--work-dir', 'orphans', code=1)
        assert "error: work_dir: another process trains in '" in second.output
        assert 'Traceback' not in second.output
        assert len(processes_of('orphans')) >= 5, log.read_text()[-2000:]
        job.kill()
        job.wait()
        until = time.monotonic() + HANGS
        while processes_of('orphans') and time.monotonic() < until:
            time.sleep(0.1)
        assert not processes_of('orphans')
        assert not is_locked(bench.folder / 'orphans')


@pytest.mark.parametrize('rank', ['0', '1'])
def test_a_machine_that_is_missing(bench, kd, rank):
    variables = dict(NNODES='2', NODE_RANK=rank, JOIN_TIMEOUT='2', PORT=free_port())
    done = bench.shell('bash', TOOLS / 'dist_train.sh', kd, 1, **variables)
    assert done.code == 1
    (line,) = done.output.strip().splitlines()
    missing = 'cannot reach machine 0'
    if rank == '0':
        missing = 'no connection from machine 1'
    assert line.startswith('error: NNODES=2: ')
    assert missing in line


@pytest.fixture
def two_machines():
    """Two network namespaces with a cable between them, as root alone can make."""

    def ip(*words):
        subprocess.run(['ip', *words], check=True)

    names, addresses = ('mmkd0', 'mmkd1'), ('10.81.0.1', '10.81.0.2')
    for name in names:
        subprocess.run(['ip', 'netns', 'delete', name], stderr=subprocess.DEVNULL)
        ip('netns', 'add', name)
    ip('link', 'add', 'mmkd0', 'netns', 'mmkd0', 'type', 'veth',
       'peer', 'name', 'mmkd1', 'netns', 'mmkd1')  # fmt: skip
    for name, address in zip(names, addresses, strict=True):
        ip('-n', name, 'address', 'add', f'{address}/24', 'dev', name)
        ip('-n', name, 'link', 'set', name, 'up')
        ip('-n', name, 'link', 'set', 'lo', 'up')
    yield dict(zip(names, addresses, strict=True))
    for name in names:
        ip('netns', 'delete', name)


@pytest.mark.slow
def test_two_machines(bench, kd, two_machines, trained):
    """Two nodes with an address each give what two processes on one machine give."""
    (master, *_), port = two_machines.values(), free_port()
    jobs = []
    for rank, name in enumerate(two_machines):
        variables = dict(NNODES='2', NODE_RANK=str(rank), MASTER_ADDR=master, PORT=port)
        variables |= dict(GLOO_SOCKET_IFNAME=name)
        command = ['ip', 'netns', 'exec', name, 'bash', str(TOOLS / 'dist_train.sh')]
        with (bench.folder / f'node_{rank}.txt').open('wb') as file:
            job = subprocess.Popen(
                [*command, kd, '1', '--work-dir', f'node_{rank}'],
                cwd=bench.folder,
                env={**environment(), **variables},
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        jobs.append(job)
    codes = [job.wait(HANGS) for job in jobs]
    logs = [(bench.folder / f'node_{rank}.txt').read_text() for rank in range(2)]
    assert codes == [0, 0], logs[0][-3000:] + logs[1][-3000:]
    assert not list((bench.folder / 'node_1').glob('*.pth'))  # the first one writes
    states = [
        torch.load(bench.folder / folder / 'iter_4.pth', weights_only=False)
        for folder in ('node_0', 'dist')
    ]
    one, other = (state['state_dict'] for state in states)
    assert all(torch.equal(one[key], other[key]) for key in one)
