"""Trainings of two iterations on CIFAR-100, a file of its own format."""

import itertools
import pickle

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner
from mmpretrain.datasets import CIFAR100

from .files import CONFIGS, train

RECIPE = '_1xb64-240e_cifar100.py'
METHODS = sorted(path.stem for path in (CONFIGS / 'methods/cifar100').glob('*.py'))
PAIRS = [  # of LSKD's tables 1 and 2
    ('resnet32x4', 'resnet8x4'),
    ('vgg13', 'vgg8'),
    ('wrn_40_2', 'wrn_40_1'),
    ('wrn_40_2', 'wrn_16_2'),
    ('resnet56', 'resnet20'),
    ('resnet110', 'resnet32'),
    ('resnet110', 'resnet20'),
    ('resnet32x4', 'shufflenet_v2'),
    ('resnet32x4', 'wrn_16_2'),
    ('resnet32x4', 'wrn_40_2'),
    ('wrn_40_2', 'resnet8x4'),
    ('wrn_40_2', 'mobilenet_v2'),
    ('vgg13', 'mobilenet_v2'),
    ('resnet50', 'mobilenet_v2'),
]


def build(model):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(model)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder of a few images; they have not the sums of the published files."""
    rng = np.random.default_rng(0)
    folder = tmp_path / 'data' / CIFAR100.base_folder
    folder.mkdir(parents=True)
    for split, number in (('train', 8), ('test', 4)):
        content = dict(
            data=rng.integers(0, 256, (number, 3072), dtype=np.uint8),
            fine_labels=rng.integers(0, 100, number).tolist(),
        )
        (folder / split).write_bytes(pickle.dumps(content, protocol=2))
    monkeypatch.setattr(CIFAR100, 'train_list', [['train', None]])
    monkeypatch.setattr(CIFAR100, 'test_list', [['test', None]])
    return tmp_path / 'data'


@pytest.mark.parametrize(
    ('pair', 'method'),
    [
        pytest.param(pair, method, id='-'.join([*pair, method]))
        for pair, method in zip(PAIRS, itertools.cycle(METHODS), strict=False)
    ],
)
def test_pair_trains(data, tmp_path, pair, method):
    """Two iterations and a validation of each pair of the tables, without a file."""
    teacher, student = (CONFIGS / f'cifar100/{name}{RECIPE}' for name in pair)
    weights = tmp_path / 'teacher.pth'
    torch.save(build(Config.fromfile(teacher).model).state_dict(), weights)
    bases, views = [student, CONFIGS / f'methods/cifar100/{method}.py'], ''
    if 'mlkd' in method:
        bases.append(CONFIGS / '_base_/datasets/cifar100_two_views.py')
        views = 'train_dataloader = _base_.two_views'
    (tmp_path / 'pair.py').write_text(
        f"""_base_ = {list(map(str, bases))}
teacher = dict(config='{teacher}', checkpoint='{weights}')
{views}
"""
    )
    config = Config.fromfile(tmp_path / 'pair.py')
    config.train_cfg.max_epochs = 1
    config.train_dataloader.batch_size = 4
    for split in ('train', 'val', 'test'):
        config[f'{split}_dataloader'].dataset.data_root = str(data)
    runner = train(config, tmp_path)
    assert runner.iter == 2
    logged = runner.message_hub.log_scalars
    (loss,) = config.distill_losses
    assert np.isfinite(logged[f'train/distill.{loss}'].current())
    assert 'val/accuracy/top1' in logged
    state = torch.load(tmp_path / 'work/epoch_1.pth', weights_only=False)
    build(config.model).load_state_dict(state['state_dict'])


def test_two_views_of_an_image(data):
    """The loader of MLKD gives weak views first; strong ones are of the same images."""
    (path,) = CONFIGS.glob('mlkd/mlkd_*_cifar100.py')
    loader = Config.fromfile(path).train_dataloader
    loader.dataset.data_root = str(data)
    loader.update(num_workers=0, persistent_workers=False, batch_size=4)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        batch = next(iter(Runner.build_dataloader(loader)))
    assert len(batch['inputs']) == len(batch['data_samples']) == 8
    labels = [int(sample.gt_label) for sample in batch['data_samples']]
    assert labels[:4] == labels[4:]
    assert all(image.shape == (3, 32, 32) for image in batch['inputs'])
    assert not torch.equal(batch['inputs'][0], batch['inputs'][4])
