"""A run that is killed with -9 and resumed ends with the student it would have had."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import mmseg
import pytest
import torch

from mmkd.runs.run_directory import RunDirectory
from tests.conftest import HANGS

from .conftest import environment, python_path
from .test_distributed import TOOLS, free_port

MMSEG = Path(mmseg.__file__).parent / '.mim/tools'
# State to restore: theta of CTKD, an adapter with its statistics, an average of the
# weights, momentum, dropout; and the places in two streams of images.
RUN = """
_base_ = 'kd.py'
distill_losses = dict(
    loss_kd=dict(_delete_=True, type='CTKDLoss', standardize=True, {ctkd}),
    loss_feature=dict(
        type='FeatureMSELoss',
        student='backbone.layer4',
        teacher='backbone.layer4',
        adapter='conv_bn',
    ),
)
custom_hooks = [dict(type='EMAHook', momentum=0.1)]
unlabeled_dataloader = dict(
    batch_size=2,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='mmkd.CamVidDataset',
        data_root=_base_.data_root,
        data_prefix=dict(img_path='val'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='RandomCrop', crop_size=(48, 64)),
            dict(type='PackSegInputs'),
        ],
    ),
)
"""
KINDS = dict(
    iterations=RUN.format(ctkd='by_epoch=False, warmup=30')
    + """
train_cfg = dict(max_iters=40, val_interval=20)
default_hooks = dict(checkpoint=dict(interval=5, max_keep_ckpts=1, save_best='mIoU'))
""",
    epochs=RUN.format(ctkd='by_epoch=True, warmup=4')
    + """
train_cfg = dict(
    _delete_=True, type='EpochBasedTrainLoop', max_epochs=8, val_interval=4
)
train_dataloader = dict(
    drop_last=True, sampler=dict(_delete_=True, type='DefaultSampler')
)
default_hooks = dict(
    checkpoint=dict(by_epoch=True, interval=1, max_keep_ckpts=1, save_best='mIoU'),
    logger=dict(log_metric_by_epoch=True),
)
log_processor = dict(by_epoch=True)
param_scheduler = [dict(type='PolyLR', power=0.9, begin=0, end=8, by_epoch=True)]
""",
)
LAST = dict(iterations='iter_40.pth', epochs='epoch_8.pth')


def start(bench, by, *arguments):
    """Starts a training by so many processes, or by that train.py in its own."""
    if by == 1:
        return bench.start('train.py', *arguments)
    config, *options = arguments
    command = ['bash', TOOLS / 'dist_train.sh', config, str(by), *options]
    if isinstance(by, Path):
        command = [sys.executable, by / 'train.py', *arguments]
    log = bench.folder / f'{len(list(bench.folder.glob("*.log")))}.log'
    with log.open('wb') as file:
        process = subprocess.Popen(
            command,
            cwd=bench.folder,
            env={
                **environment(),
                'PORT': free_port(),
                'PYTHONPATH': python_path(bench.folder),
            },
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    return process, log


def run(bench, *arguments):
    """A training to its end; returns what it printed."""
    process, log = start(bench, *arguments)
    (getattr(process, 'join', None) or process.wait)(HANGS)
    code = process.returncode if hasattr(process, 'returncode') else process.exitcode
    assert code == 0, log.read_text()[-4000:]
    return log.read_text()


def running(process):
    """Return True if a process of either module still runs."""
    return (
        process.is_alive() if hasattr(process, 'is_alive') else process.poll() is None
    )


def kill(bench, moment, by, *arguments, after=0):
    """Starts a training; kills all of it at a moment after a checkpoint."""
    process, log = start(bench, by, *arguments)
    work_dir = bench.folder / arguments[arguments.index('--work-dir') + 1]
    until = time.monotonic() + HANGS
    while saved(work_dir) <= after and time.monotonic() < until and running(process):
        time.sleep(0.01)
    time.sleep(moment)
    process.kill()
    for folder in Path('/proc').glob('[0-9]*'):  # its workers are in other sessions
        with contextlib.suppress(OSError):
            words = (folder / 'cmdline').read_bytes().split(b'\0')
            inside = (folder / 'cwd').readlink() == bench.folder
            if inside and work_dir.name.encode() in words:
                os.kill(int(folder.name), signal.SIGKILL)
    (getattr(process, 'join', None) or process.wait)(HANGS)
    assert saved(work_dir) > after, log.read_text()[-2000:]


def saved(work_dir):
    """Number in the name of the last checkpoint; 0 before the first."""
    named = work_dir / 'last_checkpoint'
    name = named.read_text() if named.exists() else ''
    return int(Path(name).stem.rpartition('_')[2] or 0)


def state(bench, kind, work_dir):
    """Contents of the last checkpoint, validations and best checkpoint."""
    folder = bench.folder / work_dir
    checkpoint = torch.load(folder / LAST[kind], map_location='cpu', weights_only=False)
    checkpoint.pop('message_hub')
    checkpoint.pop('meta')
    (checkpoint['best'],) = [path.name for path in folder.glob('best_*')]
    checkpoint['validations'] = RunDirectory(folder).validations
    return checkpoint


def differences(one, other, name=''):
    """Paths at which two nested states are not bit-identical."""
    if isinstance(one, torch.Tensor):
        return [] if torch.equal(one, other) else [name]
    if isinstance(one, dict):
        if one.keys() != other.keys():
            return [f'{name}: keys']
        parts = [(key, one[key], other[key]) for key in one]
    elif isinstance(one, list | tuple):
        parts = [(i, *pair) for i, pair in enumerate(zip(one, other, strict=True))]
    else:
        return [] if one == other else [name]
    return [d for key, a, b in parts for d in differences(a, b, f'{name}.{key}')]


@pytest.fixture(scope='module')
def whole(bench, kd):
    """The end of an uninterrupted run, each of which is made once."""
    made = {}

    def whole(kind, by):
        if (kind, by) not in made:
            config = bench.write(f'{kind}.py', KINDS[kind])
            work_dir = f'whole_{kind}_{len(made)}'
            run(bench, by, config, '--work-dir', work_dir)
            made[kind, by] = state(bench, kind, work_dir)
        return made[kind, by]

    return whole


@pytest.mark.parametrize(
    ('kind', 'workers', 'by'),
    [
        ('iterations', 4, 1),
        pytest.param('epochs', 0, 1, marks=pytest.mark.slow),
        pytest.param('iterations', 2, MMSEG, marks=pytest.mark.slow),
        pytest.param('iterations', 0, 2, marks=pytest.mark.slow),
        pytest.param('iterations', 0, 1, marks=pytest.mark.slow),
        pytest.param('epochs', 4, 1, marks=pytest.mark.slow),
        pytest.param('iterations', 4, 2, marks=pytest.mark.slow),
        pytest.param('epochs', 0, 2, marks=pytest.mark.slow),
        pytest.param('epochs', 4, 2, marks=pytest.mark.slow),
        pytest.param('epochs', 2, MMSEG, marks=pytest.mark.slow),
    ],
)
def test_killed(bench, whole, kind, workers, by):
    expected = whole(kind, by)
    moment = random.SystemRandom().uniform(0, 0.3)
    work_dir = f'killed_{kind}_{workers}_{getattr(by, "parent", by)}'.replace('/', '_')
    arguments = [f'{kind}.py', '--work-dir', work_dir, '--cfg-options']
    arguments.append(f'train_dataloader.num_workers={workers}')
    arguments.append(f'train_dataloader.persistent_workers={workers > 0}')
    arguments.append(f'unlabeled_dataloader.num_workers={workers // 2}')
    kill(bench, moment, by, *arguments)
    assert not (bench.folder / work_dir / LAST[kind]).exists(), 'killed too late'
    printed = run(bench, by, *arguments, '--resume')
    assert '(train)' in printed
    found = state(bench, kind, work_dir)
    assert 'ema_state_dict' in found
    assert found['distill_losses']['loss_kd.theta'] != 1  # where it starts
    assert differences(expected, found) == [], f'killed {moment} s after a checkpoint'


@pytest.mark.slow
def test_by_mmsegs_own_train_py(whole):
    one, other = (whole('iterations', by) for by in (1, MMSEG))
    assert differences(one, other) == []


@pytest.mark.slow
@pytest.mark.parametrize('after', range(5, 35, 5))
@pytest.mark.parametrize('repeat', range(4))
def test_two_processes_killed(bench, whole, after, repeat):
    """Kill at a random moment after each checkpoint except the last."""
    expected = whole('iterations', 2)
    moment = random.SystemRandom().uniform(0, 0.5)
    arguments = ['iterations.py', '--work-dir', f'two_{after}_{repeat}']
    kill(bench, moment, 2, *arguments, after=after - 1)
    run(bench, 2, *arguments, '--resume')
    found = state(bench, 'iterations', arguments[2])
    assert differences(expected, found) == [], f'killed {moment} s after iter_{after}'


DIES = """
import os, signal
from pathlib import Path
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class DiesHook(Hook):
    def after_val_iter(self, runner, *args, **kwargs):
        if is_main_process() and not runner._resume:
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('by', [TOOLS, 2])
def test_killed_in_a_validation(bench, whole, kind, by):
    """The best checkpoint is the one of the validation that was killed."""
    expected = whole(kind, 1 if by == TOOLS else by)
    bench.write('dies.py', DIES)
    config = bench.write(
        f'dies_in_{kind}.py',
        f"_base_ = '{kind}.py'\ncustom_imports = dict(imports=['dies'])\n"
        "custom_hooks = [*_base_.custom_hooks, dict(type='DiesHook')]",
    )
    work_dir = f'died_{kind}_{by == TOOLS}'
    process, log = start(bench, by, config, '--work-dir', work_dir)
    assert process.wait(HANGS), log.read_text()[-2000:]
    assert saved(bench.folder / work_dir) == (20 if kind == 'iterations' else 4)
    run(bench, by, config, '--work-dir', work_dir, '--resume')
    assert differences(expected, state(bench, kind, work_dir)) == []


@pytest.fixture(scope='module')
def left(bench, whole):
    """A run of epochs of three batches that was stopped by a signal after the fifth.

    Returns what resumes a copy of it.
    """
    whole('epochs', 1)  # writes the config
    bench.write('leaves.py', LEAVES)
    config = bench.write('left.py', "_base_ = 'epochs.py'\n" + LEFT)
    log = bench.folder / 'left.txt'
    command = [sys.executable, str(TOOLS / 'train.py'), config, '--work-dir', 'left']
    with log.open('wb') as file:
        done = subprocess.run(
            command,
            cwd=bench.folder,
            env={**environment(), 'PYTHONPATH': python_path(bench.folder)},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    assert done.returncode == 128 + signal.SIGTERM, log.read_text()[-2000:]
    assert (bench.folder / 'left/epoch_1_iter_5.pth').is_file()

    def resume(name):
        shutil.copytree(bench.folder / 'left', bench.folder / name)
        return ['epochs.py', '--work-dir', name, '--resume']

    return resume


LEFT = """
custom_imports = dict(imports=['leaves'])
custom_hooks = [*_base_.custom_hooks, dict(type='LeavesHook')]
train_dataloader = dict(num_workers=2, persistent_workers=True)
"""
# As a scheduler does: the signal goes to the workers too.
LEAVES = """
import os, signal
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class LeavesHook(Hook):
    def after_train_iter(self, runner, *args, **kwargs):
        if runner.iter == 4:
            os.killpg(0, signal.SIGTERM)
"""


def test_stopped_within_an_epoch(bench, whole, left):
    """The resumed run takes the rest of the epoch."""
    printed = run(bench, 1, *left('rest'))
    assert '[2][1/3]' in printed
    assert '[2][2/3]' not in printed
    assert differences(whole('epochs', 1), state(bench, 'epochs', 'rest')) == []


def test_an_epoch_of_another_length_is_started_again(bench, left):
    options = ['--cfg-options', 'train_dataloader.batch_size=3']
    printed = run(bench, 1, *left('again'), *options)
    assert '[2][1/2]' in printed
    assert '[2][2/2]' in printed
