"""Two processes on a machine without a GPU: gloo, and SyncBN configs train as BN."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
import torch

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
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class BreaksHook(Hook):
    def after_train_iter(self, runner, *args, **kwargs):
        if get_rank() == 1 and runner.iter == 2:
            raise ValueError('this worker breaks')
"""


def test_a_worker_that_raises_ends_the_job(bench, kd):
    """With its traceback, and soon."""
    bench.write('breaks.py', BREAKS)
    config = bench.write('broken.py', BROKEN)
    start = time.monotonic()
    done = bench.shell(
        'bash', TOOLS / 'dist_train.sh', config, 2, '--work-dir', 'broken',
        PORT=free_port(), PYTHONPATH=python_path(bench.folder),
    )  # fmt: skip
    assert time.monotonic() - start < 60
    assert done.code not in (0, None)
    assert 'Traceback' in done.output
    assert 'ValueError: this worker breaks' in done.output


def test_a_worker_that_is_killed_ends_the_job(bench, kd):
    log = bench.folder / 'one_killed.txt'
    command = [
        'bash',
        str(TOOLS / 'dist_train.sh'),
        kd,
        '2',
        '--work-dir',
        'one_killed',
    ]
    command += ['--cfg-options', 'train_cfg.max_iters=100000']
    with log.open('wb') as file:
        job = subprocess.Popen(
            command,
            cwd=bench.folder,
            env={**environment(), 'PORT': free_port()},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    until = time.monotonic() + 60
    while 'Iter(train)' not in log.read_text() and time.monotonic() < until:
        time.sleep(0.1)
    for folder in Path('/proc').glob('[0-9]*'):
        with contextlib.suppress(OSError):
            variables = (folder / 'environ').read_bytes().split(b'\0')
            command = (folder / 'cmdline').read_bytes()
            if b'one_killed' in command and b'LOCAL_RANK=1' in variables:
                os.kill(int(folder.name), signal.SIGKILL)
    assert job.wait(60) not in (0, None)
    assert 'Signal 9 (SIGKILL)' in log.read_text()


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
    codes = [job.wait(100) for job in jobs]
    logs = [(bench.folder / f'node_{rank}.txt').read_text() for rank in range(2)]
    assert codes == [0, 0], logs[0][-3000:] + logs[1][-3000:]
    assert not list((bench.folder / 'node_1').glob('*.pth'))  # the first one writes
    states = [
        torch.load(bench.folder / folder / 'iter_4.pth', weights_only=False)
        for folder in ('node_0', 'dist')
    ]
    one, other = (state['state_dict'] for state in states)
    assert all(torch.equal(one[key], other[key]) for key in one)
