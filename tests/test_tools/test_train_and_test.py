import os
import re
import resource
import shutil
import signal
import sys
import textwrap
import time
from pathlib import Path

import mmseg
import pytest
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS
from PIL import Image
from torch.testing import assert_close

from tests.conftest import HANGS
from tests.test_docs.blocks import FILE, read_blocks
from tests.test_tools.conftest import REPO

TRAIN = REPO / 'tools' / 'train.py'
STUDENT = 'work_dirs/kd/iter_4.pth'
TEACHER = 'work_dirs/teacher/iter_4.pth'
OTHER = 'work_dirs/default/iter_4.pth'


def read(bench, path):
    # Written by the run itself: the log history is more than weights.
    return torch.load(bench.folder / path, map_location='cpu', weights_only=False)


def plain_student(bench):
    """The student as mmseg alone builds it."""
    config = Config.fromfile(bench.folder / 'student.py')
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(config.model)


def test_training(distilled):
    assert distilled.iterations() == [1, 2, 3, 4]
    assert 'distill.loss_kd: ' in distilled.output
    assert 'distill.weight_kd: ' in distilled.output


@pytest.mark.slow
def test_memory_kept_on_a_cpu_changes_no_result(bench, teacher):
    """The variable makes the process return it to the kernel, as by default."""
    default = dict(MALLOC_TRIM_THRESHOLD_='131072')
    options = ('--work-dir', 'work_dirs/default')
    other = bench.shell(sys.executable, TRAIN, 'teacher.py', *options, **default)
    assert other.code == 0, other.output
    said = 'Freed memory of up to 32 MiB a block is kept'
    assert (said in teacher.output) == (get_device() == 'cpu')
    assert said not in other.output
    for part in ('state_dict', 'optimizer'):
        kept, returned = (read(bench, p)[part] for p in (TEACHER, OTHER))
        assert_close(kept, returned, rtol=0, atol=0)


def test_same_metrics_as_the_last_validation(bench, distilled):
    tested = bench.run('test.py', 'kd.py', STUDENT)
    assert tested.metrics == distilled.metrics[-1:]
    assert tested.metrics[0]['mIoU'] > 0


def test_testing_needs_no_teacher(bench, kd, distilled):
    alone = Path(kd).read_text()
    alone = re.sub(r'teacher = dict\(.*\)', "teacher = dict(config='gone.py')", alone)
    assert 'gone.py' in alone
    tested = bench.run('test.py', bench.write('alone.py', alone), STUDENT)
    assert tested.metrics == distilled.metrics[-1:]


def test_teacher_is_measured_before_the_first_iteration(bench, teacher, distilled):
    before = distilled.output.index('Teacher on 5 of 5 images: ')
    assert before < distilled.output.index('Iter(train)')
    tested = bench.run('test.py', 'teacher.py', TEACHER)
    assert distilled.metrics[0] == tested.metrics[0] == teacher.metrics[-1]
    line = re.search(r'Teacher on 5 of 5 images: (.*)', distilled.output)[1]
    assert f'mIoU: {tested.metrics[0]["mIoU"]:.4g}' in line


def test_checkpoint_is_a_plain_students(bench, distilled):
    checkpoint = read(bench, STUDENT)
    student = plain_student(bench)
    student.load_state_dict(checkpoint['state_dict'], strict=True)
    assert set(checkpoint['state_dict']) == set(student.state_dict())
    assert not [key for key in checkpoint if 'teacher' in key]
    assert 'distill_losses' not in checkpoint  # this loss learns nothing


def test_optimizer_has_the_students_parameters_only(bench, distilled):
    (group,) = read(bench, STUDENT)['optimizer']['param_groups']
    assert len(group['params']) == len(list(plain_student(bench).parameters()))


def test_teacher_leaves_the_students_start_alone(bench, distilled):
    """A baseline of the same seed sees the same first batch with the same weights.

    Its first loss is the distilled one's task loss.
    """
    lone = bench.run('train.py', 'student.py', '--cfg-options', 'train_cfg.max_iters=1')
    first = re.compile(r'\[1/\d\].*?decode\.loss_ce: ([\d.]+)', re.DOTALL)
    assert first.search(lone.output)[1] == first.search(distilled.output)[1]


@pytest.mark.parametrize(
    'config', ['kd.py', pytest.param('work_dirs/kd/kd.py', marks=pytest.mark.slow)]
)
def test_distillation_config_is_the_students_to_mmseg(bench, distilled, config):
    """init_model takes it, the one recorded in the work_dir too, without mmkd."""
    code = (
        'import sys\n'
        "sys.modules['mmkd'] = None\n"
        'import numpy as np\n'
        'from mmseg.apis import inference_model, init_model\n'
        f"model = init_model({config!r}, {STUDENT!r}, device='cpu')\n"
        'image = np.zeros((64, 96, 3), np.uint8)\n'
        'print(inference_model(model, image).pred_sem_seg.data.shape)\n'
    )
    done = bench.shell(sys.executable, '-W', 'ignore', '-c', code)
    assert done.code == 0, done.output
    assert 'torch.Size([1, 64, 96])' in done.output
    assert 'Loads checkpoint' in done.output


def test_config_is_recorded_with_the_teacher_inlined(bench, distilled):
    """Training writes it, and testing does not write over it."""
    bench.run('train.py', 'kd.py', '--work-dir', 'recorded')
    bench.run('test.py', 'kd.py', STUDENT, '--work-dir', 'recorded')
    folder = bench.folder / 'recorded'
    of_the_training, _ = sorted(folder.glob('*/vis_data/config.py'))
    for path in (folder / 'kd.py', of_the_training):
        config = Config.fromfile(path)
        assert 'config' not in config.teacher
        assert config.teacher.reduce_zero_label is False
        assert config.teacher.model.type == 'EncoderDecoder'


EPOCHS = """
_base_ = 'student.py'
train_cfg = dict(
    _delete_=True, type='EpochBasedTrainLoop', max_epochs=2, val_interval=2
)
train_dataloader = dict(
    sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True)
)
default_hooks = dict(
    checkpoint=dict(by_epoch=True, interval=1), logger=dict(log_metric_by_epoch=True)
)
log_processor = dict(by_epoch=True)
param_scheduler = [dict(type='PolyLR', power=0.9, begin=0, end=2, by_epoch=True)]
"""


@pytest.mark.parametrize(('config', 'last'), [('student', 4), ('epochs', 2)])
def test_resume_makes_up_for_the_last_validation(bench, config, last):
    """Resume after a kill between the last checkpoint and its validation."""
    bench.write('epochs.py', EPOCHS)
    arguments = ('train.py', f'{config}.py', '--work-dir', f'cut_{config}')
    whole = bench.run(*arguments)
    resumed = bench.run(*arguments, '--resume')
    assert 'Iter(train)' not in resumed.output
    assert 'Epoch(train)' not in resumed.output
    assert resumed.metrics == whole.metrics[-1:]
    assert bench.scalars(f'cut_{config}')[-1]['step'] == last


def test_resume(bench, distilled):
    """Starts fresh where there is nothing to resume; else goes on from the last."""
    arguments = ('train.py', 'kd.py', '--work-dir', 'resumed', '--resume')
    fresh = bench.run(*arguments, '--cfg-options', 'train_cfg.max_iters=2')
    assert fresh.iterations() == [1, 2]
    resumed = bench.run(*arguments)
    assert resumed.iterations() == [3, 4]
    assert 'Teacher on' not in resumed.output  # it was measured at the start
    momentum = read(bench, 'resumed/iter_4.pth')['optimizer']['state']
    assert len(momentum) == len(list(plain_student(bench).parameters()))


@pytest.fixture(scope='module')
def interrupted(bench):
    """A run that was stopped after two of four iterations, with averaged weights."""
    bench.write(
        'averaged.py',
        "_base_ = 'student.py'\ncustom_hooks = [dict(type='EMAHook')]\n"
        'param_scheduler = []\noptim_wrapper = dict(optimizer=dict(lr=0.01))',
    )
    options = ('--cfg-options', 'train_cfg.max_iters=2')
    bench.run('train.py', 'averaged.py', '--work-dir', 'interrupted', *options)
    return bench.folder / 'interrupted'


@pytest.fixture
def resume(bench, interrupted, tmp_path):
    """Resumes a copy of it with changed settings."""

    def resume(*options, code=0):
        folder = shutil.copytree(interrupted, tmp_path / 'copy')
        arguments = ('--work-dir', folder, '--resume', '--cfg-options', *options)
        return bench.run('train.py', 'averaged.py', *arguments, code=code)

    return resume


def test_resume_logs_changed_settings(bench, resume, tmp_path):
    resumed = resume('optim_wrapper.optimizer.lr=0.02', 'randomness.seed=3')
    lines = re.findall(r'Resumed with a changed setting: (.*)', resumed.output)
    assert sorted(lines) == [
        'optim_wrapper.optimizer.lr: 0.01 in the checkpoint, 0.02 in the config; the '
        "checkpoint's is used",
        "randomness.seed: 0 in the checkpoint, 3 in the config; the checkpoint's is "
        'used',
        "train_cfg.max_iters: 2 in the checkpoint, 4 in the config; the config's is "
        'used',
    ]
    assert {r['lr'] for r in bench.scalars(tmp_path / 'copy') if 'lr' in r} == {0.01}


@pytest.mark.parametrize(
    ('option', 'error'),
    [
        ('model.decode_head.channels=12', 'load_from: .* does not match the network'),
        (
            'optim_wrapper.optimizer.type=RMSprop',
            'optim_wrapper: .*does not match',
        ),
        (
            'optim_wrapper.paramwise_cfg.norm_decay_mult=0.5',
            'optim_wrapper: .*different number of parameter groups',
        ),
    ],
)
def test_resume_of_another_network_or_optimizer(resume, option, error):
    (line,) = resume(option, code=1).output.strip().splitlines()[-1:]
    assert re.search(error, line)


def test_resume_of_nothing_keeps_load_from(bench, teacher):
    """``--resume`` may always be there: it starts as the config says."""
    config = bench.write('starts.py', f"_base_ = 'teacher.py'\nload_from = '{TEACHER}'")
    arguments = ('--work-dir', 'starts', '--resume')
    arguments = (*arguments, '--cfg-options', 'train_cfg.max_iters=1')
    started = bench.run('train.py', config, *arguments)
    assert started.iterations() == [1]
    assert f'Load checkpoint from {TEACHER}' in started.output


def test_ema(bench, kd):
    """The averaged student is validated, saved with plain keys and resumed."""
    ema = (
        'custom_hooks = [\n'
        "    dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.5),\n"
        ']\n'
    )
    config = bench.write('ema.py', Path(kd).read_text() + ema)
    arguments = ('train.py', config, '--cfg-options')
    trained = bench.run(*arguments, 'train_cfg.max_iters=2')

    checkpoint = read(bench, 'work_dirs/ema/iter_2.pth')
    averaged = checkpoint['ema_state_dict']
    keys = {key.removeprefix('module.') for key in averaged} - {'steps'}
    assert (
        keys == set(plain_student(bench).state_dict()) == set(checkpoint['state_dict'])
    )
    assert averaged['steps'] == 2
    # CheckpointHook saves what was validated, the average, as the state_dict.
    tested = bench.run('test.py', config, 'work_dirs/ema/iter_2.pth')
    assert tested.metrics == trained.metrics[-1:]

    resumed = bench.run(*arguments, 'train_cfg.max_iters=4', '--resume')
    assert resumed.iterations() == [3, 4]
    assert read(bench, 'work_dirs/ema/iter_4.pth')['ema_state_dict']['steps'] == 4


@pytest.mark.parametrize(
    ('name', 'resume'), [('SIGTERM', True), ('SIGINT', False), ('SIGUSR1', False)]
)
def test_signal_saves_and_leaves(bench, kd, name, resume):
    number = signal.Signals[name]
    options = ('--work-dir', name, '--cfg-options', 'train_cfg.val_interval=10000')
    options = (*options, 'train_dataloader.num_workers=1')
    process, log = bench.start('train.py', kd, *options, 'train_cfg.max_iters=10000')
    until = time.monotonic() + HANGS
    while 'Iter(train)' not in log.read_text() and time.monotonic() < until:
        assert process.is_alive(), log.read_text()[-2000:]
        time.sleep(0.1)
    children = Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text()
    for pid in (process.pid, *map(int, children.split())):  # with the worker
        os.kill(pid, number)
    stopped = bench.finish(process, log)
    assert stopped.code == 128 + number, stopped.output[-2000:]
    assert f'{name}: exiting; rerun with --resume' in stopped.output
    assert 'Traceback' not in stopped.output

    last = int(re.search(r'saving at iteration (\d+)', stopped.output)[1])
    assert stopped.iterations()[-1] == last
    assert (bench.folder / name / f'iter_{last}.pth').is_file()
    if resume:
        options = (*options, f'train_cfg.max_iters={last + 2}')
        resumed = bench.run('train.py', kd, '--resume', *options)
        assert resumed.iterations() == [last + 1, last + 2]


def test_writing_predictions(bench, distilled):
    every = 'default_hooks.visualization.interval=1'  # OpenMMLab's: one of 50
    out = ('--out', 'labels', '--show-dir', 'painted')
    bench.run('test.py', 'kd.py', STUDENT, *out, '--cfg-options', every)
    written = sorted(file.name for file in (bench.folder / 'labels').iterdir())
    assert written == [f'{i}.png' for i in range(5)]
    with Image.open(bench.folder / 'labels/0.png') as labels:
        assert labels.size == (96, 64)
    assert any(bench.folder.glob('**/painted/**/*.png'))


def test_time_augmentation(bench, teacher):
    plain = teacher.metrics[-1]
    tested = bench.run('test.py', 'teacher.py', TEACHER, '--tta')
    (metrics,) = tested.metrics
    assert metrics.keys() == plain.keys()
    assert metrics != plain


@pytest.fixture(scope='module')
def readme(bench, teacher):
    """The README's example, as printed, with small networks; trained by train.py."""
    for name in ('student', 'teacher'):
        bench.write(f'my_{name}.py', f"_base_ = '{name}.py'")
    shutil.copy(bench.folder / TEACHER, bench.folder / 'my_teacher.pth')
    for block in read_blocks(REPO / 'README.md'):
        if (file := FILE.match(block.text)) and not file['more']:
            bench.write(file['name'], block.text)
    trained = bench.run('train.py', 'my_distillation.py')
    return trained, read(bench, 'work_dirs/my_distillation/iter_4.pth')


RECORDED = 'work_dirs/my_distillation/my_distillation.py'
MMKD = Path(sys.executable).with_name('mmkd')
MMSEG = Path(mmseg.__file__).parent / '.mim' / 'tools'
NO_CONFIG = ['--teacher', 'my_teacher.py', 'my_teacher.pth', '--method', 'kd']


@pytest.mark.parametrize(
    'command',
    [
        [sys.executable, MMSEG / 'train.py', RECORDED],
        pytest.param([MMKD, 'train', 'my_distillation.py'], marks=pytest.mark.slow),
        pytest.param(
            [sys.executable, TRAIN, 'my_short_distillation.py'], marks=pytest.mark.slow
        ),
        [MMKD, 'train', 'my_student.py', *NO_CONFIG],
    ],
    ids=['mmseg', 'mmkd', 'method file', 'no config'],
)
def test_every_way_gives_the_same_checkpoint(bench, readme, command, tmp_path):
    _, expected = readme
    done = bench.shell(*command, '--work-dir', tmp_path)
    assert done.code == 0, done.output[-4000:]
    assert done.iterations() == [1, 2, 3, 4]
    assert 'Teacher on 5 of 5 images' in done.output
    checkpoint = read(bench, tmp_path / 'iter_4.pth')
    assert_close(checkpoint['state_dict'], expected['state_dict'], rtol=0, atol=0)
    momentum = checkpoint['optimizer']['state']
    assert_close(momentum, expected['optimizer']['state'], rtol=0, atol=0)


def test_mmsegs_own_test_py(bench, readme):
    trained, _ = readme
    checkpoint = 'work_dirs/my_distillation/iter_4.pth'
    script = MMSEG / 'test.py'
    tested = bench.shell(sys.executable, script, RECORDED, checkpoint)
    assert tested.code == 0, tested.output[-4000:]
    assert tested.metrics == trained.metrics[-1:]


def test_the_config_of_a_training_without_one_is_recorded(bench, readme, tmp_path):
    options = ('--cfg-options', 'distill_losses.loss_kd.tau=2.0')
    arguments = ('--work-dir', tmp_path, *NO_CONFIG, *options)
    done = bench.run('train.py', 'student.py', *arguments)
    assert done.iterations() == [1, 2, 3, 4]
    config = Config.fromfile(tmp_path / 'student.py')
    assert config.runner_type == 'mmkd.DistillRunner'
    assert config.teacher.model.type == 'EncoderDecoder'
    assert config.distill_losses.loss_kd == dict(
        type='KDLoss', tau=2.0, loss_weight=1.0
    )
    assert config.model.type == 'EncoderDecoder'


@pytest.mark.parametrize('tool', ['train.py', 'test.py', 'misc/print_config.py'])
def test_help_is_quick_and_quiet(bench, tool):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = bench.shell(sys.executable, Path(__file__).parents[2] / 'tools' / tool, '-h')
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Of the processor's time: it may have other work.
    assert after.ru_utime - before.ru_utime < 5
    assert done.code == 0
    assert done.output.startswith('usage: ')
    assert 'warn' not in done.output.lower()
    assert '--cfg-options' in done.output


@pytest.mark.parametrize(
    'folder', ['/sys/runs', pytest.param('full', marks=pytest.mark.slow)]
)
def test_nothing_can_be_written(bench, kd, folder):
    """One line, and earlier checkpoints stay; also of the logs beside them."""
    options = ['--work-dir', folder, '--resume']
    code = f"""
        import resource, runpy, sys
        size = 10**9 if {folder!r} == '/sys/runs' else 300_000
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        sys.argv = ['train.py', {kd!r}, *{options}]
        runpy.run_path({str(TRAIN)!r}, run_name='__main__')
    """
    done = bench.shell(sys.executable, '-c', textwrap.dedent(code))
    assert done.code == 1, done.output[-2000:]
    assert 'Traceback' not in done.output
    *_, last = done.output.strip().splitlines()
    assert last.startswith('error: ')
    assert 'work_dir' in last or folder in last
    assert '--resume' in last
    assert not list((bench.folder / 'full').glob('*.pth'))
