"""Our Cityscapes config reads files laid out exactly as Cityscapes is."""

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.registry import DATASETS
from PIL import Image

CONFIGS = Path(__file__).parents[2] / 'configs'
HEIGHT, WIDTH = 32, 64  # 2048x1024 in small
TRAIN_IDS = {*range(19), 255}


@pytest.fixture
def label():
    values = np.array(sorted(TRAIN_IDS), np.uint8)
    return np.resize(np.repeat(values, 8), (HEIGHT, WIDTH))


@pytest.fixture
def root(tmp_path, label):
    for split, city in (('train', 'aachen'), ('val', 'lindau')):
        stem = f'{city}_000000_000019'
        images = tmp_path / 'leftImg8bit' / split / city
        labels = tmp_path / 'gtFine' / split / city
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
        Image.fromarray(image).save(images / f'{stem}_leftImg8bit.png')
        Image.fromarray(label).save(labels / f'{stem}_gtFine_labelTrainIds.png')
        # Part of the real folder too, and not to be read.
        Image.fromarray(label).save(labels / f'{stem}_gtFine_labelIds.png')
    return tmp_path


def load(dataloader, root):
    cfg = Config.fromfile(CONFIGS / '_base_/datasets/cityscapes_512x1024.py')
    dataset = cfg[dataloader].dataset
    dataset.data_root = str(root)
    with DefaultScope.overwrite_default_scope('mmseg'):
        dataset = DATASETS.build(dataset)
        assert len(dataset) == 1
        return dataset[0]


def test_train(root):
    sample = load('train_dataloader', root)
    assert sample['inputs'].shape == (3, 512, 1024)
    target = sample['data_samples'].gt_sem_seg.data
    assert target.shape == (1, 512, 1024)
    assert set(target.unique().tolist()) <= TRAIN_IDS


def test_val(root, label):
    sample = load('val_dataloader', root)
    assert sample['inputs'].shape == (3, 1024, 2048)
    assert 'lindau_000000_000019_leftImg8bit' in sample['data_samples'].img_path
    target = sample['data_samples'].gt_sem_seg.data
    np.testing.assert_array_equal(target[0].numpy(), label)
