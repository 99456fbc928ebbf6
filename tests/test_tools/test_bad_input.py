"""What a user gets wrong: one line that names the key and the mend, before training."""

import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from mmengine.config import DictAction
from mmengine.registry import MODELS, DefaultScope

from mmkd.engine import run_config
from mmkd.errors import UserError

TRAIN = Path(__file__).parents[2] / 'tools' / 'train.py'


def error_of(result):
    """The one line of a tool that ends with an error."""
    assert result.code == 1, result.output[-2000:]
    assert 'Traceback' not in result.output
    assert 'Iter(train)' not in result.output
    *_, last = result.output.strip().splitlines()
    assert last.startswith('error: '), result.output[-2000:]
    assert result.output.count('error: ') == 1
    return last


def save_teacher(bench, name, change):
    """The trained teacher's checkpoint, changed in a way."""
    path = bench.folder / 'work_dirs/teacher/iter_4.pth'
    checkpoint = torch.load(path, map_location='cpu', weights_only=False)
    change(checkpoint)
    torch.save(checkpoint, bench.folder / name)


LOSS = 'model.distill_losses.loss_kd'
OPTIONS = {
    'tap': (
        [f'{LOSS}.student=decode_head.conv_sge'],
        [f'{LOSS}.student: ', "'decode_head.conv_sge'", 'decode_head.conv_seg'],
    ),
    'teacher_tap': (
        [f'{LOSS}.teacher=head.conv_seg'],
        [f'{LOSS}.teacher: ', 'did you mean', 'decode_head.conv_seg'],
    ),
    'tau': ([f'{LOSS}.tau=0'], [f'{LOSS}: tau must be > 0']),
    'loss_type': ([f'{LOSS}.type=KDLos'], [f'{LOSS}: ', "'KDLos'", 'KDLoss']),
    'divergence': (
        [f'{LOSS}.divergence.type=BalancedLK'],
        [f'{LOSS}: ', "'BalancedLK'", 'BalancedKL'],
    ),
    'loss_key': ([f'{LOSS}.tua=2'], [f'{LOSS}: ', "'tua'"]),
    'schedule_key': ([f'{LOSS}.schedule.warm_up=2'], [f'{LOSS}: ', "'warm_up'"]),
    'by_epoch': (
        [f'{LOSS}.schedule.by_epoch=True'],
        [f'{LOSS}.schedule.by_epoch: ', 'by_epoch=False'],
    ),
    'loss_name': (
        ['model.distill_losses.kd.type=KDLoss'],
        ['model.distill_losses.kd: ', "'loss_kd'"],
    ),
    'no_checkpoint': (
        ['model.teacher.checkpoint=None'],
        ['model.teacher.checkpoint: ', 'path or URL'],
    ),
    'checkpoint_missing': (
        ['model.teacher.checkpoint=gone.pth'],
        [
            "model.teacher.checkpoint: 'gone.pth' does not exist",
            '--cfg-options model.teacher.checkpoint=PATH',
        ],
    ),
    'checkpoint_is_text': (
        ['model.teacher.checkpoint=teacher.py'],
        ["model.teacher.checkpoint: 'teacher.py' is not a checkpoint"],
    ),
    'checkpoint_of_another_config': (
        ['model.teacher.config=student.py'],
        ['model.teacher.checkpoint: ', 'does not fit', 'another config?'],
    ),
    'teacher_config': (
        ['model.teacher.config=gone.py'],
        ["model.teacher.config: 'gone.py' exists neither in "],
    ),
    'teacher_key': (
        ['model.teacher.ckpt=teacher.pth'],
        ['model.teacher: unknown key ckpt', 'checkpoint'],
    ),
    'data_root': (
        ['train_dataloader.dataset.data_root=gone'],
        [
            "train_dataloader.dataset.data_root: 'gone' does not exist",
            'data/README.md',
        ],
    ),
    'val_folder': (
        ['val_dataloader.dataset.data_prefix.img_path=gone'],
        ['val_dataloader.dataset.data_prefix.img_path: ', 'data/README.md'],
    ),
}


# What builds no Runner takes no process: the rest of them goes through the tool.
THROUGH_THE_TOOL = ('tap', 'checkpoint_missing', 'by_epoch')


def build(bench, options):
    """What train.py does until the first iteration, but for the Runner."""
    options = dict(option.split('=') for option in options)
    options = {key: DictAction._parse_iterable(options[key]) for key in options}
    args = Namespace(
        config='kd.py', cfg_options=options, launcher='none', work_dir=None
    )
    config = run_config.load_config(args)
    run_config.check_data(config, 'train', 'val')
    with DefaultScope.overwrite_default_scope('mmseg'):
        distiller = MODELS.build(config.model)
        distiller.init_weights()
    return distiller


def test_nothing_wrong(bench, kd, monkeypatch):
    monkeypatch.chdir(bench.folder)
    assert build(bench, []).teacher is not None


@pytest.mark.parametrize('case', OPTIONS)
def test_option(bench, kd, monkeypatch, case):
    options, expected = OPTIONS[case]
    if case in THROUGH_THE_TOOL:
        result = bench.run('train.py', kd, '--cfg-options', *options, code=None)
        error = error_of(result)
    else:
        monkeypatch.chdir(bench.folder)
        with pytest.raises(UserError) as raised:
            build(bench, options)
        error = str(raised.value)
    assert '\n' not in error
    for part in expected:
        assert part in error


def truncate(bench):
    whole = (bench.folder / 'work_dirs/teacher/iter_4.pth').read_bytes()
    (bench.folder / 'bad.pth').write_bytes(whole[: len(whole) // 2])


def rename_stem(bench):
    def change(checkpoint):
        state = checkpoint['state_dict']
        state['backbone.conv1.weight'] = state.pop('backbone.stem.0.weight')

    save_teacher(bench, 'bad.pth', change)


def other_classes(bench):
    def change(checkpoint):
        state = checkpoint['state_dict']
        for head in ('decode_head', 'auxiliary_head'):
            for kind in ('weight', 'bias'):
                key = f'{head}.conv_seg.{kind}'
                state[key] = state[key][:7]

    save_teacher(bench, 'bad.pth', change)


def other_order(bench):
    def change(checkpoint):
        meta = checkpoint['meta']['dataset_meta']
        first, second, *rest = meta['classes']
        meta['classes'] = (second, first, *rest)

    save_teacher(bench, 'bad.pth', change)


CHECKPOINTS = {
    truncate: ['truncated'],
    rename_stem: ['ResNetV1c (R101) against ResNet (R101b)?', 'backbone.stem.0.weight'],
    other_classes: ['decode_head.conv_seg.weight (7, 8, 1, 1)', 'other classes?'],
    other_order: ['in another order', "'building'", "'sky'", 'metainfo.classes'],
}


@pytest.mark.parametrize('spoil', CHECKPOINTS, ids=lambda spoil: spoil.__name__)
def test_teachers_checkpoint(bench, kd, monkeypatch, spoil):
    spoil(bench)
    option = 'model.teacher.checkpoint=bad.pth'
    if spoil is other_order:  # which the Runner's data set shows
        error = error_of(bench.run('train.py', kd, '--cfg-options', option, code=None))
    else:
        monkeypatch.chdir(bench.folder)
        with pytest.raises(UserError) as raised:
            build(bench, [option])
        error = f'error: {raised.value}'
    assert error.startswith('error: model.teacher.checkpoint: ')
    for part in CHECKPOINTS[spoil]:
        assert part in error


def test_teacher_of_other_classes(bench, kd, monkeypatch):
    """Both its config and its checkpoint have fewer classes than the student."""
    other_classes(bench)
    text = (bench.folder / 'teacher.py').read_text()
    text = text.replace('dict(in_channels=', 'dict(num_classes=7, in_channels=')
    bench.write('seven.py', text)
    monkeypatch.chdir(bench.folder)
    options = ['model.teacher.checkpoint=bad.pth', 'model.teacher.config=seven.py']
    with pytest.raises(UserError) as raised:
        build(bench, options)
    assert f'{LOSS}.teacher: ' in str(raised.value)
    assert 'gives 7 classes' in str(raised.value)


CONFIGS = {
    'missing': (None, 'does not exist'),
    'syntax': ('model = dict(', 'cannot be read'),
    'base': ("_base_ = 'gone.py'", 'gone.py'),
    'base_of_mmkd': ("_base_ = 'mmkd::kd/gone.py'", 'gone.py'),
    'two_models': ("_base_ = ['teacher.py', 'student.py']", 'Duplicate key'),
    'no_losses': (
        "_base_ = 'kd.py'\nmodel = dict(distill_losses=dict(_delete_=True))",
        'model.distill_losses: at least one loss is needed',
    ),
    'no_model': ('max_iters = 2', 'model: '),
}


@pytest.mark.parametrize('case', CONFIGS)
def test_config(bench, kd, case):
    text, expected = CONFIGS[case]
    if text is not None:
        bench.write(f'{case}.py', text)
    assert expected in error_of(bench.run('train.py', f'{case}.py', code=None))


@pytest.mark.parametrize(
    ('checkpoint', 'expected'),
    [
        ('gone.pth', "checkpoint: 'gone.pth' does not exist"),
        ('kd.py', "checkpoint: 'kd.py' is not a checkpoint"),
        ('work_dirs/teacher/iter_4.pth', 'does not fit the network'),
    ],
)
def test_tested_checkpoint(bench, kd, checkpoint, expected):
    error = error_of(bench.run('test.py', kd, checkpoint, code=None))
    assert expected in error
    assert '--cfg-options checkpoint' not in error  # it is an argument


def test_resuming_from_what_is_no_checkpoint(bench, kd):
    options = ('--cfg-options', 'load_from=kd.py')
    error = error_of(bench.run('train.py', kd, *options, code=None))
    assert "load_from: 'kd.py' is not a checkpoint" in error


def test_process_of_its_own_prints_nothing_else(bench, kd):
    done = bench.shell(sys.executable, TRAIN, 'gone.py')
    assert done.code == 1
    assert done.output == "error: config: 'gone.py' does not exist\n"
