"""The recipes for classification: CIFAR-100, ImageNet and Omniglot."""

import itertools
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmpretrain.datasets import CIFAR100
from mmpretrain.registry import DATASETS, MODELS

import mmkd.registry  # noqa: F401
from mmkd.engine.launch import build_runner

CONFIGS = Path(__file__).parents[2] / 'configs'
DATA = ('cifar100', 'imagenet', 'in1k', 'omniglot')
ALL = sorted(
    path.relative_to(CONFIGS).as_posix()
    for path in CONFIGS.rglob('*.py')
    if '_base_' not in path.parts
    and (path.stem.endswith(DATA) or path.parent.name in DATA)
)
DISTILLED = [name for name in ALL if name.partition('/')[0] not in (*DATA, 'studies')]
METHODS = ('bdd', 'bdd-ls', 'ctkd', 'ctkd-ls', 'dist', 'dkd', 'dkd-ls', 'kd', 'lskd')
METHODS += ('mlkd', 'mlkd-ls')
PAIRS = [  # of LSKD's tables 1 and 2, and DKD's beta
    ('resnet32x4', 'resnet8x4', 8.0),
    ('vgg13', 'vgg8', 6.0),
    ('wrn_40_2', 'wrn_40_1', 6.0),
    ('wrn_40_2', 'wrn_16_2', 6.0),
    ('resnet56', 'resnet20', 2.0),
    ('resnet110', 'resnet32', 2.0),
    ('resnet110', 'resnet20', 2.0),
    ('resnet32x4', 'shufflenet_v2', 8.0),
    ('resnet32x4', 'wrn_16_2', 8.0),
    ('resnet32x4', 'wrn_40_2', 8.0),
    ('wrn_40_2', 'resnet8x4', 8.0),
    ('wrn_40_2', 'mobilenet_v2', 8.0),
    ('vgg13', 'mobilenet_v2', 6.0),
    ('resnet50', 'mobilenet_v2', 8.0),
]


def config_of(method, data):
    (path,) = CONFIGS.glob(f'*/{method}_{data}.py')
    return Config.fromfile(path)


@pytest.fixture
def choose(monkeypatch):
    """Sets the pair of networks."""

    def choose(teacher, student):
        monkeypatch.setenv('TEACHER', teacher)
        monkeypatch.setenv('STUDENT', student)

    return choose


def build(model):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(model)


@pytest.mark.parametrize('name', ALL)
def test_config_builds(name):
    config = Config.fromfile(CONFIGS / name)
    assert config.default_scope == 'mmpretrain'
    model = build({**config.model, 'data_preprocessor': config.data_preprocessor})
    network = config.model.get('student', config.model)
    assert network.head.num_classes == config.data_preprocessor.num_classes
    scheduler = config.param_scheduler
    last = scheduler.get('T_max', scheduler.get('milestones', [0])[-1])
    assert last <= config.train_cfg.max_epochs
    for split in ('train', 'val', 'test'):
        kind = config[f'{split}_dataloader'].dataset.type
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            assert DATASETS.get(kind) is not None
    if config.model.type == 'mmkd.Distiller':
        model = model.student
    assert sum(parameter.numel() for parameter in model.parameters()) > 0


def test_every_method_has_its_configs():
    for data in ('cifar100', 'imagenet'):
        found = sorted(
            Path(name).stem for name in DISTILLED if name.endswith(f'_{data}.py')
        )
        assert found == sorted(f'{method}_{data}' for method in METHODS)


@pytest.mark.parametrize('name', DISTILLED)
def test_nothing_but_the_loss_is_new(name):
    """The student's recipe stays, but for what a method says of its cross entropy."""
    config = Config.fromfile(CONFIGS / name)
    data = {'cifar100': 'cifar100', 'imagenet': 'imagenet', 'omniglot': 'omniglot'}
    folder = CONFIGS / data[name.removesuffix('.py').rpartition('_')[2]]
    (alone,) = [
        alone
        for alone in map(Config.fromfile, sorted(folder.glob('*.py')))
        if alone.model.backbone == config.model.student.backbone
    ]
    student = config.model.student.to_dict()
    student['head']['loss'].update(loss_weight=1.0)
    assert student == alone.model.to_dict()
    if 'mlkd' not in name or 'omniglot' in name:
        for key in (
            'train_dataloader',
            'optim_wrapper',
            'train_cfg',
            'param_scheduler',
        ):
            assert config[key] == alone[key]
    assert config.val_dataloader == alone.val_dataloader
    (loss,) = config.model.distill_losses.values()
    assert bool(loss.get('standardize')) == ('ls' in Path(name).stem.split('_')[0])


def cifar100(root):
    """A few images in CIFAR-100's own format."""
    rng = np.random.default_rng(0)
    (root / CIFAR100.base_folder).mkdir(parents=True)
    for split, number in (('train', 8), ('test', 4)):
        content = dict(
            data=rng.integers(0, 256, (number, 3072), dtype=np.uint8),
            fine_labels=rng.integers(0, 100, number).tolist(),
        )
        with open(root / CIFAR100.base_folder / split, 'wb') as file:
            pickle.dump(content, file, protocol=2)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Where these images are; they have not the sums of the published files."""
    cifar100(tmp_path / 'data')
    monkeypatch.setattr(CIFAR100, 'train_list', [['train', None]])
    monkeypatch.setattr(CIFAR100, 'test_list', [['test', None]])
    return tmp_path / 'data'


@pytest.mark.parametrize(
    ('pair', 'method'),
    [
        pytest.param(pair, method, id='-'.join([*pair[:2], method]))
        for pair, method in zip(PAIRS, itertools.cycle(METHODS), strict=False)
    ],
)
def test_pair_runs(choose, data, tmp_path, pair, method):
    """Two iterations and a validation of each pair of the tables."""
    teacher, student, beta = pair
    choose(teacher, student)
    config = config_of(method, 'cifar100')
    assert config.work_dir == f'work_dirs/{method}_cifar100/{teacher}_{student}'
    if 'dkd' in method:
        assert config.model.distill_losses.loss_dkd.beta == beta
    checkpoint = tmp_path / 'teacher.pth'
    network = build(Config.fromfile(config.model.teacher.config).model)
    torch.save(dict(state_dict=network.state_dict()), checkpoint)
    assert config.model.teacher.checkpoint == f'checkpoints/cifar100/{teacher}.pth'
    config.merge_from_dict(
        {
            'model.teacher.checkpoint': str(checkpoint),
            'work_dir': str(tmp_path / 'work'),
            'launcher': 'none',
            'train_cfg.max_epochs': 1,
            'env_cfg.cudnn_benchmark': False,
            'train_dataloader.batch_size': 4,
        }
    )
    for split in ('train', 'val', 'test'):
        loader = config[f'{split}_dataloader']
        loader.dataset.data_root = str(data)
        loader.num_workers, loader.persistent_workers = 0, False
    config.experiment_name = f'{teacher}_{student}_{method}'
    runner = build_runner(config)
    runner.train()
    assert runner.iter == 2
    logged = runner.message_hub.log_scalars
    (name,) = config.model.distill_losses
    assert np.isfinite(logged[f'train/distill.{name}'].current())
    assert 'val/accuracy/top1' in logged
    state = torch.load(tmp_path / 'work/epoch_1.pth', weights_only=False)
    build(config.model.student).load_state_dict(state['state_dict'])


@pytest.mark.parametrize(
    ('teacher', 'student', 'millions', 'beta'),
    [('resnet34', 'resnet18', 11.69, 0.5), ('resnet50', 'mobilenet_v1', 4.23, 2.0)],
)
def test_imagenet_pairs(choose, teacher, student, millions, beta):
    choose(teacher, student)
    config = config_of('dkd', 'imagenet')
    assert config.model.distill_losses.loss_dkd.beta == beta
    assert f'/{teacher}_8xb32_in1k_' in config.model.teacher.checkpoint
    assert Path(config.model.teacher.config).stem.startswith(teacher)
    network = build(config.model.student)
    size = sum(parameter.numel() for parameter in network.parameters())
    assert round(size / 1e6, 2) == millions
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)


def test_unknown_network(choose):
    choose('resnet32x4', 'resnet9')
    with pytest.raises(FileNotFoundError, match='resnet9_1xb64'):
        config_of('kd', 'cifar100')


def test_two_views_of_an_image(data):
    """The loader of MLKD gives weak views first; strong ones are of the same images."""
    config = config_of('mlkd', 'cifar100')
    loader = config.train_dataloader
    loader.dataset.data_root = str(data)
    loader.update(num_workers=0, persistent_workers=False, batch_size=4)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        batch = next(iter(Runner.build_dataloader(loader)))
    assert len(batch['inputs']) == len(batch['data_samples']) == 8
    labels = [int(sample.gt_label) for sample in batch['data_samples']]
    assert labels[:4] == labels[4:]
    assert all(image.shape == (3, 32, 32) for image in batch['inputs'])
    assert not torch.equal(batch['inputs'][0], batch['inputs'][4])
