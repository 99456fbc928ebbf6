"""Two iterations of each loss on the small pair of CamVid."""

import numpy as np
import pytest
from mmengine.config import Config

from mmkd.distillation.teacher_config import split_teachers
from tests.test_tools.conftest import write_camvid

from .files import CONFIGS, train
from .test_segmentation_training import write_random_weights

PAIRS = sorted(CONFIGS.glob('*/*_pspnet_r18half-d8*_pspnet_r18quarter-d8_*.py'))
(KD,) = CONFIGS.glob('kd/kd_pspnet_r18half-d8_pspnet_r18quarter-d8_*.py')
# Losses without a method config of their own.
LOSSES = {
    'cosine': dict(type='CosineFeatureLoss', adapter='conv_bn'),
    'normalized': dict(type='FeatureMSELoss', adapter='mlp', normalize=True),
    'softmax similarity': dict(type='SimilarityLoss', temperature=0.07),
    'deep supervision': dict(type='DeepSupervisionLoss'),
}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('camvid')
    write_camvid(folder)
    return folder


def train_two_iterations(path, data, folder, losses=None):
    """Train a distillation with random teacher weights; return what was logged."""
    config = Config.fromfile(path)
    config.merge_from_dict({'randomness.seed': 0})
    if losses is not None:
        config.distill_losses = losses
    for key, teacher in split_teachers(config.teacher).items():
        teacher.checkpoint = str(folder / f'{key}.pth')
        write_random_weights(teacher.config, teacher.checkpoint)
    config.train_dataloader.batch_size = 2
    config.train_dataloader.dataset.data_root = str(data)
    if unlabeled := config.get('unlabeled_dataloader'):
        unlabeled.batch_size = 2
        unlabeled.dataset.data_root = str(data)
    for part in ('dataloader', 'cfg', 'evaluator'):
        config[f'val_{part}'] = config[f'test_{part}'] = None
    config.train_cfg.max_iters = 2
    scalars = train(config, folder).message_hub.log_scalars
    names = [f'distill.{name}' for name in config.distill_losses]
    if unlabeled:
        names += [f'unlabeled.{name}' for name in config.distill_losses]
    for name in names:
        assert np.isfinite(scalars[f'train/{name}'].data[0]).all(), name
        assert len(scalars[f'train/{name}'].data[0]) == 2


@pytest.mark.slow
@pytest.mark.parametrize('path', PAIRS, ids=lambda path: path.stem.split('_pspnet')[0])
def test_method(path, data, tmp_path):
    train_two_iterations(path, data, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize('name', LOSSES)
def test_other_loss(name, data, tmp_path):
    train_two_iterations(KD, data, tmp_path, dict(loss=LOSSES[name]))
