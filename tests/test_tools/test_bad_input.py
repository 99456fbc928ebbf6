"""Invalid input: one line that names the key and the fix, before training."""

import shutil
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, DefaultScope
from PIL import Image
from torch.utils.data import DataLoader

from mmkd.cli.arguments import run_config
from mmkd.cli.train import parse_args
from mmkd.datasets.build_dataset import build_dataset
from mmkd.datasets.checked_dataset import CheckedDataset
from mmkd.distillation import Distiller
from mmkd.distillation.teacher_config import inline_teacher
from mmkd.engine.config_errors import naming_keys
from mmkd.errors import UserError
from tests.test_tools.conftest import write_camvid

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


LOSS = 'distill_losses.loss_kd'
OPTIONS = {
    'tap': (
        [f'{LOSS}.student=decode_head.conv_sge'],
        [f'{LOSS}.student: ', "'decode_head.conv_sge'", 'decode_head.conv_seg'],
    ),
    'teacher_tap': (
        [f'{LOSS}.teacher=head.conv_seg'],
        [f'{LOSS}.teacher: ', 'did you mean', 'decode_head.conv_seg'],
    ),
    'tau': ([f'{LOSS}.tau=0'], [f'{LOSS}: tau must be at least 0.001']),
    'negative_tau': ([f'{LOSS}.tau=-2'], [f'{LOSS}: tau must be at least 0.001']),
    'negative_weight': (
        [f'{LOSS}.loss_weight=-1'],
        [f'{LOSS}: loss_weight must be >= 0'],
    ),
    'loss_type': ([f'{LOSS}.type=KDLos'], [f'{LOSS}: ', "'KDLos'", 'KDLoss']),
    'divergence': (
        [f'{LOSS}.divergence.type=BalancedLK'],
        [f'{LOSS}: ', "'BalancedLK'", 'BalancedKL'],
    ),
    'loss_key': ([f'{LOSS}.tua=2'], [f'{LOSS}.tua: unknown key', 'did you mean tau?']),
    'schedule_key': (
        [f'{LOSS}.schedule.warm_up=2'],
        [f'{LOSS}.schedule.warm_up: unknown key', 'did you mean warmup?'],
    ),
    'by_epoch': (
        [f'{LOSS}.schedule.by_epoch=True'],
        [f'{LOSS}.schedule.warmup: by_epoch=True, but ', 'by_epoch=False'],
    ),
    'long_warmup': (
        [f'{LOSS}.schedule.warmup=9'],
        [f'{LOSS}.schedule.warmup: 9 iterations are more than the 4 of the run'],
    ),
    'loss_name': (
        ['distill_losses.kd.type=KDLoss'],
        ['distill_losses.kd: ', "'loss_kd'"],
    ),
    'no_checkpoint': (
        ['teacher.checkpoint=None'],
        ['teacher.checkpoint: ', 'path or URL'],
    ),
    'checkpoint_missing': (
        ['teacher.checkpoint=gone.pth'],
        [
            "teacher.checkpoint: 'gone.pth' does not exist",
            '--cfg-options teacher.checkpoint=PATH',
        ],
    ),
    'checkpoint_is_text': (
        ['teacher.checkpoint=teacher.py'],
        ["teacher.checkpoint: 'teacher.py' is not a checkpoint"],
    ),
    'checkpoint_of_another_config': (
        ['teacher.config=student.py'],
        ['teacher.checkpoint: ', 'does not match', 'another config?'],
    ),
    'teacher_config': (
        ['teacher.config=gone.py'],
        ["teacher.config: 'gone.py' exists neither in "],
    ),
    'teacher_key': (
        ['teacher.ckpt=teacher.pth'],
        ['teacher: unknown key ckpt', 'checkpoint'],
    ),
    'class_map': (
        ['teacher.class_map.sky=heaven'],
        ["teacher.class_map: the teacher has no class 'heaven'; did you mean 'pave"],
    ),
    'class_map_key': (
        ['teacher.class_map.12=sky'],
        ['teacher.class_map: the dataset has no class 12, only 0 to 10'],
    ),
    'teacher_size': (
        ['teacher.size=512'],
        ['teacher.size: must be (height, width), two positive integers'],
    ),
    'teacher_scale': (
        ['teacher.scale=2', 'teacher.size=(8,8)'],
        ['teacher: give either scale or size'],
    ),
    'teacher_slide': (
        ['teacher.slide=True'],
        ["teacher.slide: the teacher's model.test_cfg has no crop_size; set"],
    ),
    'head_key': (
        ['model.decode_head.num_clases=11'],
        ['model.decode_head.num_clases: unknown key', 'did you mean num_cla'],
    ),
    'model_key': (
        ['model.decode_haed.type=FCNHead'],
        ['model.decode_haed: unknown key of EncoderDecoder; did you mean decode_head'],
    ),
    'backbone_type': (
        ['model.backbone.type=ResNetV1cc'],
        ["model.backbone.type: unknown type 'ResNetV1cc'"],
    ),
    'no_size': (
        ['model.data_preprocessor.size=None'],
        ['model.data_preprocessor.size: neither it nor size_divisor is set; set one'],
    ),
    'loop_key': (
        ['train_cfg.max_iter=2'],
        ['train_cfg.max_iter: unknown key of IterBasedTrainLoop', 'max_iters?'],
    ),
    'loader_key': (
        ['train_dataloader.batchsize=2'],
        ['train_dataloader.batchsize: unknown key of DataLoader'],
    ),
    'data_key': (
        ['train_dataloader.dataset.data_rot=data'],
        ['train_dataloader.dataset.data_rot: unknown key', 'did you mean data_root'],
    ),
    'transform': (
        ['train_dataloader.dataset.pipeline.5.type=PhotometricDistortion'],
        ['train_dataloader.dataset.pipeline.5.type: unknown type'],
    ),
    'image_suffix': (
        ['train_dataloader.dataset.img_suffix=.tif'],
        [
            'train_dataloader.dataset.data_prefix.img_path: ',
            'no image (*.tif), but 6 *.png',
        ],
    ),
    'split_file': (
        ['train_dataloader.dataset.ann_file=gone.txt'],
        ['train_dataloader.dataset.ann_file: ', "/gone.txt' does not exist"],
    ),
    'pretrained': (
        ['model.pretrained=gone.pth'],
        ["model.pretrained: 'gone.pth' does not exist"],
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


# What needs no Runner takes no process: the rest of them goes through the tool.
THROUGH_THE_TOOL = (
    'tap',
    'checkpoint_missing',
    'by_epoch',
    'long_warmup',
    'loop_key',
    'loader_key',
    'no_size',
    'pretrained',
)


def read(options):
    """The config of a run with those options."""
    config = run_config(parse_args(['kd.py', '--cfg-options', *options]))
    with naming_keys(config):
        for split in ('train', 'val'):
            build_dataset(config, split)
    return config


def build(options):
    """The steps of DistillRunner before the first iteration, without a Runner."""
    config = read(options)
    with DefaultScope.overwrite_default_scope('mmseg'), naming_keys(config):
        dataset = DATASETS.build(config.train_dataloader.dataset)
        teacher = inline_teacher(config.teacher)
        student = MODELS.build(config.model)
        distiller = Distiller(student, teacher, config.distill_losses)
        distiller.init_weights()
        distiller.map_classes(dataset.metainfo['classes'])
    return distiller


def test_nothing_wrong(bench, kd, monkeypatch):
    monkeypatch.chdir(bench.folder)
    assert build(['train_cfg.max_iters=4']).teacher is not None


@pytest.mark.parametrize('case', OPTIONS)
def test_option(bench, kd, monkeypatch, case):
    options, expected = OPTIONS[case]
    if case in THROUGH_THE_TOOL:
        result = bench.run('train.py', kd, '--cfg-options', *options, code=None)
        error = error_of(result)
    else:
        monkeypatch.chdir(bench.folder)
        with pytest.raises(UserError) as raised:
            build(options)
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


def other_names(bench):
    def change(checkpoint):
        meta = checkpoint['meta']['dataset_meta']
        meta['classes'] = (*meta['classes'][1:], 'heaven')

    save_teacher(bench, 'bad.pth', change)


CHECKPOINTS = {
    truncate: ['truncated'],
    rename_stem: ['ResNetV1c (R101) and ResNet (R101b)?', 'backbone.stem.0.weight'],
    other_classes: ['decode_head.conv_seg.weight (7, 8, 1, 1)', 'other classes?'],
    other_names: ["these names: 'sky'; write class_map={'sky': ", "teacher: 'heaven'"],
}


@pytest.mark.parametrize('corrupt', CHECKPOINTS, ids=lambda corrupt: corrupt.__name__)
def test_teachers_checkpoint(bench, kd, monkeypatch, corrupt):
    corrupt(bench)
    monkeypatch.chdir(bench.folder)
    with pytest.raises(UserError) as raised:
        build(['teacher.checkpoint=bad.pth'])
    error = str(raised.value)
    key = 'class_map' if corrupt is other_names else 'checkpoint'
    assert error.startswith(f'teacher.{key}: ')
    assert '\n' not in error
    for part in CHECKPOINTS[corrupt]:
        assert part in error


def test_teacher_of_other_classes(bench, kd, monkeypatch):
    """Both its config and its checkpoint have fewer classes than the student."""
    other_classes(bench)
    text = (bench.folder / 'teacher.py').read_text()
    text = text.replace('dict(in_channels=', 'dict(num_classes=7, in_channels=')
    bench.write('seven.py', text)
    monkeypatch.chdir(bench.folder)
    options = ['teacher.checkpoint=bad.pth', 'teacher.config=seven.py']
    with pytest.raises(UserError) as raised:
        build(options)
    error = str(raised.value)
    assert error.startswith('teacher.class_map: no class of the teacher has these')
    assert error.count("'") >= 2 * 4


CONFIGS = {
    'missing': (None, 'does not exist'),
    'syntax': ('model = dict(', 'cannot be read'),
    'base': ("_base_ = 'gone.py'", 'gone.py'),
    'base_of_mmkd': ("_base_ = 'mmkd::kd/gone.py'", 'gone.py'),
    'two_models': ("_base_ = ['teacher.py', 'student.py']", 'Duplicate key'),
    'no_losses': (
        "_base_ = 'kd.py'\ndistill_losses = dict(_delete_=True)",
        'distill_losses: missing, but a distillation needs it; add distill_losses, ',
    ),
    'no_teacher': (
        "_base_ = 'kd.py'\nteacher = None",
        'teacher: missing, but a distillation needs it; add teacher=dict(config=..., ',
    ),
    'teacher_alone': (
        "_base_ = 'student.py'\nteacher = dict(config='teacher.py')",
        'distill_losses: missing, but a distillation needs it; add distill_losses, ',
    ),
    'losses_alone': (
        "_base_ = 'student.py'\ndistill_losses = dict(loss_kd=dict(type='KDLoss'))",
        'teacher: missing, but a distillation needs it; add teacher=dict(config=..., ',
    ),
    'no_runner_type': (
        "_base_ = 'kd.py'\nrunner_type = 'Runner'",
        "runner_type: it must be 'mmkd.DistillRunner'",
    ),
    'former_form': (
        """_base_ = 'student.py'
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=dict(),
    teacher=dict(config='teacher.py'),
    distill_losses=dict(loss_kd=dict(type='KDLoss')),
)
""",
        "model: 'mmkd.Distiller' is built by the Runner; write model=<the student's>, "
        "runner_type='mmkd.DistillRunner', teacher=dict(config=..., checkpoint=...) ",
    ),
    'no_model': ('max_iters = 2', 'model: '),
}


@pytest.mark.parametrize('case', CONFIGS)
def test_config(bench, kd, case):
    text, expected = CONFIGS[case]
    if text is not None:
        bench.write(f'{case}.py', text)
    assert expected in error_of(bench.run('train.py', f'{case}.py', code=None))


def test_unknown_method(bench, kd):
    arguments = ('student.py', '--teacher', 'teacher.py', 'gone.pth')
    error = error_of(bench.run('train.py', *arguments, '--method', 'bdd_l', code=None))
    expected = "error: --method: unknown method 'bdd_l'; did you mean bdd_ls"
    assert error.startswith(expected)


def test_unknown_teacher_of_a_package(bench, kd):
    name = 'mmseg::pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-512x102.py'
    arguments = ('student.py', '--method', 'kd', '--teacher', name, 'gone.pth')
    error = error_of(bench.run('train.py', *arguments, code=None))
    assert error.startswith(f"error: teacher.config: '{name}': mmseg has no config '")
    assert 'did you mean pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py' in error


def test_teacher_without_a_method(bench, kd):
    arguments = ('student.py', '--teacher', 'teacher.py', 'gone.pth')
    error = error_of(bench.run('train.py', *arguments, code=None))
    assert error.startswith(
        'error: distill_losses: missing, but a distillation needs it; '
    )
    assert '--method' in error


def test_resuming_with_another_loss(bench, kd, distilled):
    """One that learns, which the checkpoint's run did not have."""
    shutil.copytree(bench.folder / 'work_dirs/kd', bench.folder / 'another_loss')
    (bench.folder / 'another_loss/last_checkpoint').write_text('iter_2.pth')
    options = ('--resume', '--work-dir', 'another_loss', '--cfg-options')
    ctkd = ('distill_losses.loss_ctkd.type=CTKDLoss',)
    ctkd += ('distill_losses.loss_ctkd.by_epoch=False',)
    ctkd += ('distill_losses.loss_ctkd.warmup=2',)
    error = error_of(bench.run('train.py', kd, *options, *ctkd, code=None))
    assert 'distill_losses.loss_ctkd.theta: a parameter that the checkpoint' in error


@pytest.mark.parametrize(
    ('checkpoint', 'expected'),
    [
        ('gone.pth', "checkpoint: 'gone.pth' does not exist"),
        ('kd.py', "checkpoint: 'kd.py' is not a checkpoint"),
        ('work_dirs/teacher/iter_4.pth', 'does not match the network'),
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


def test_starting_from_a_checkpoint_with_a_prefix(bench, kd, teacher):
    def change(checkpoint):
        state = checkpoint['state_dict']
        new = {f'architecture.{name}': value for name, value in state.items()}
        checkpoint['state_dict'] = new

    save_teacher(bench, 'prefixed.pth', change)
    options = ('--cfg-options', 'load_from=prefixed.pth')
    error = error_of(bench.run('train.py', 'teacher.py', *options, code=None))
    assert "load_from: 'prefixed.pth' does not match the network: its names be" in error
    assert "prefix='architecture.')[0], 'plain.pth')" in error


def test_fewer_classes_than_the_data(bench, kd):
    options = ('--cfg-options', 'model.decode_head.num_classes=7')
    error = error_of(bench.run('train.py', 'student.py', *options, code=None))
    assert 'model.decode_head.num_classes: 7, but train_dataloader.dataset' in error
    assert 'set it to 11' in error


def damage(path, share=0.5):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])


def replace(path, array):
    Image.fromarray(array.astype(np.uint8)).save(path)


def truncated_png(root):
    damage(root / 'train/1.png')


def truncated_jpeg(root):
    with Image.open(root / 'train/1.png') as image:
        image.save(root / 'train/1.jpg')
    (root / 'train/1.png').unlink()
    damage(root / 'train/1.jpg', 0.9)


def empty_image(root):
    damage(root / 'train/1.png', 0)


def text_as_image(root):
    (root / 'train/1.png').write_text('version https://git-lfs.github.com/spec/v1')


def truncated_label(root):
    damage(root / 'trainannot/1.png')


def missing_label(root):
    (root / 'trainannot/1.png').unlink()


def label_of_another_size(root):
    replace(root / 'trainannot/1.png', np.zeros((32, 48)))


def label_out_of_range(root):
    replace(root / 'trainannot/1.png', np.full((64, 96), 42))


FIX = ['download it again', 'skip_corrupt=True']
DATA = {
    truncated_png: ["train/1.png' cannot be read: truncated", *FIX],
    truncated_jpeg: ["train/1.jpg' cannot be read: truncated", *FIX],
    empty_image: ["train/1.png' cannot be read: it is empty", *FIX],
    text_as_image: ["train/1.png' cannot be read", *FIX],
    truncated_label: ["trainannot/1.png' cannot be read: truncated", *FIX],
    missing_label: ["trainannot/1.png' does not exist", 'suffixes'],
    label_of_another_size: [
        "trainannot/1.png' is 48x32, but its image",
        "train/1.png' is 96x64",
    ],
    label_out_of_range: [
        "trainannot/1.png': label value 42, but num_classes is 11",
        'reduce_zero_label',
        'replace it by 255',
    ],
}


@pytest.fixture
def damaged(bench, kd, tmp_path):
    """Corrupt a copy of the data; returns the option to train on it."""

    def make(corrupt):
        root = tmp_path / 'data'
        shutil.copytree(bench.folder / 'data', root)
        corrupt(root)
        return f'train_dataloader.dataset.data_root={root}'

    return make


def samples_of(option, workers=0, **kwargs):
    config = read([option])
    with DefaultScope.overwrite_default_scope('mmseg'):
        dataset = DATASETS.build(config.train_dataloader.dataset)
    checked = CheckedDataset(dataset, 11, **kwargs)
    loader = DataLoader(checked, num_workers=workers, collate_fn=pseudo_collate)
    files = [batch['data_samples'][0].img_path for batch in loader]
    return checked, [Path(file).name for file in files]


@pytest.mark.parametrize('corrupt', DATA, ids=lambda corrupt: corrupt.__name__)
def test_data(bench, damaged, monkeypatch, corrupt):
    monkeypatch.chdir(bench.folder)
    with pytest.raises(UserError) as raised:
        samples_of(damaged(corrupt))
    assert '\n' not in str(raised.value)
    for part in DATA[corrupt]:
        assert part in str(raised.value)


def test_no_images(bench, damaged, monkeypatch):
    monkeypatch.chdir(bench.folder)

    def remove(root):
        for path in root.glob('train/*.png'):
            path.unlink()

    with pytest.raises(
        UserError, match=r'img_path: .*train. contains no image'
    ) as raised:
        read([damaged(remove)])
    assert 'data/README.md' in str(raised.value)


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('corrupt', [truncated_png, truncated_jpeg, truncated_label])
def test_corrupt_files_are_skipped_and_counted(
    bench, damaged, monkeypatch, corrupt, workers
):
    """The next one stands in for it, on whichever worker."""
    monkeypatch.chdir(bench.folder)
    checked, files = samples_of(damaged(corrupt), workers, skip=True)
    assert files == [f'{index}.png' for index in (0, 2, 2, 3, 4, 5)]
    assert checked.skipped.nonzero().flatten().tolist() == [1]


def test_wrong_labels_are_not_skipped(bench, damaged, monkeypatch):
    """Labels out of range are a mistake in the config, not corrupt files."""
    monkeypatch.chdir(bench.folder)
    with pytest.raises(UserError, match='label value 42'):
        samples_of(damaged(label_out_of_range), skip=True)


WORKERS = ('train_dataloader.num_workers=2', 'train_dataloader.batch_size=6')


def test_corrupt_file_on_a_worker(bench, damaged):
    options = ('--cfg-options', damaged(truncated_png), *WORKERS)
    error = error_of(bench.run('train.py', 'student.py', *options, code=None))
    assert error.startswith("error: '")
    assert "train/1.png' cannot be read" in error


def test_training_without_the_corrupt_file(bench, damaged):
    """Logged once, counted once, and the same in each run."""
    options = (damaged(truncated_png), *WORKERS, 'skip_corrupt=True')
    runs = [
        bench.run('train.py', 'student.py', '--work-dir', name, '--cfg-options', *more)
        for name, more in (
            ('skipped', options),
            ('skipped_again', (*options, 'train_dataloader.num_workers=0')),
        )
    ]
    for run in runs:
        assert run.output.count("train/1.png' cannot be read") == 1
        assert 'skip_corrupt: 1 of 6 training samples were skipped' in run.output
    losses = [
        [line['loss'] for line in bench.scalars(name) if 'loss' in line]
        for name in ('skipped', 'skipped_again')
    ]
    assert len(losses[0]) == 4
    assert losses[0] == losses[1]


def test_corrupt_file_of_the_validation(bench, kd, tmp_path):
    """Validation never skips files: a metric covers all images."""
    write_camvid(tmp_path / 'data')
    damage(tmp_path / 'data/val/3.png')
    options = [
        f'test_dataloader.dataset.data_root={tmp_path}/data',
        'skip_corrupt=True',
    ]
    checkpoint = 'work_dirs/teacher/iter_4.pth'
    error = error_of(
        bench.run(
            'test.py', 'teacher.py', checkpoint, '--cfg-options', *options, code=None
        )
    )
    assert "val/3.png' cannot be read" in error


def test_port_in_use(bench, kd):
    script = TRAIN.with_name('dist_train.sh')
    with socket.create_server(('', 0)) as server:
        port = str(server.getsockname()[1])
        done = bench.shell('bash', script, kd, 1, PORT=port)
    *_, last = done.output.strip().splitlines()
    assert done.code == 1
    assert last.startswith(f'error: PORT: {port} is in use on this machine')
    assert 'Traceback' not in done.output


def test_error_of_several_processes(bench, kd):
    done = bench.shell('bash', TRAIN.with_name('dist_train.sh'), 'gone.py', 1, PORT='0')
    assert done.code == 1
    assert "error: config: 'gone.py' does not exist" in done.output
    assert 'Traceback' not in done.output


def test_process_of_its_own_prints_nothing_else(bench, kd):
    done = bench.shell(sys.executable, TRAIN, 'gone.py')
    assert done.code == 1
    assert done.output == "error: config: 'gone.py' does not exist; check the path\n"
