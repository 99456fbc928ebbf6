"""Clone with data and networks, as the pages require it."""

import shutil
from doctest import DocTestParser
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmseg.apis import init_model
from mmseg.datasets import CityscapesDataset
from PIL import Image

from mmkd.datasets import CamVidDataset
from tests.mdistiller import run as run_mdistiller
from tests.test_datasets.omniglot import write_archive
from tests.test_tools.conftest import write_camvid

from .blocks import read_blocks
from .small import TEACHER, shrink

REPO = Path(__file__).parents[2]
CLONED = ('benchmarks', 'configs', 'mmkd', 'studies', 'tools', 'Makefile', 'README.md')
CLONED += ('pyproject.toml',)
NETWORKS = dict(my_student='pspnet_r18quarter', my_teacher='pspnet_r18half')
LONG = 'train_cfg = dict(max_iters=80000, val_interval=8000)\n'


def write_clone(clone: Path) -> None:
    """Fills a folder, in which small networks stand in for those of the pages."""
    (clone / 'docs').mkdir()
    (clone / '.venv/bin').mkdir(parents=True)
    (clone / '.venv/bin/activate').touch()
    for name in CLONED:
        (clone / name).symlink_to(REPO / name)
    write_data(clone / 'data')
    shutil.copy(clone / 'data/camvid/val/0.png', clone / 'image.png')
    for name, network in NETWORKS.items():
        (base,) = REPO.glob(f'configs/pspnet/{network}-*.py')
        (clone / f'{name}.py').write_text(f"_base_ = '{base}'\n{LONG}")
    meta = dict(dataset_meta=CamVidDataset.METAINFO)
    state = weights_of(clone / 'my_teacher.py')
    torch.save(dict(state_dict=state, meta=meta), clone / 'my_teacher.pth')
    (r101,) = REPO.glob('configs/pspnet/*r101*cityscapes*.py')
    meta = dict(dataset_meta=CityscapesDataset.METAINFO)
    torch.save(dict(state_dict=weights_of(r101), meta=meta), clone / TEACHER)
    shutil.copy(clone / TEACHER, clone / 'resnet18_v1c.pth')
    _, state = run_mdistiller('wrn_40_2', torch.zeros(1, 3, 32, 32))
    folder = clone / 'cifar_teachers/wrn_40_2_vanilla'
    folder.mkdir(parents=True)
    torch.save(dict(model=state), folder / 'ckpt_epoch_240.pth')
    pair, *_ = (b for b in read_blocks(REPO / 'README.md') if b.language == 'python')
    (clone / 'my_distillation.py').write_text(pair.text)
    session = DocTestParser().get_examples((REPO / 'docs/write_a_loss.md').read_text())
    code = ''.join(example.source for example in session)
    (clone / 'my_losses.py').write_text(code)


def write_data(data: Path) -> None:
    """CamVid, Omniglot, and three classes in mmseg's usual layout."""
    write_camvid(data / 'camvid')
    write_archive(data / 'omniglot')
    rng = np.random.default_rng(0)
    for split in ('train', 'val'):
        images, labels = (data / 'my_data' / k / split for k in ('images', 'labels'))
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for number in range(4):
            label = np.kron(rng.integers(0, 4, (4, 6)), np.ones((16, 16), int))
            image = (60 * label[..., None].repeat(3, 2)).astype('u1')
            Image.fromarray(image).save(images / f'{number}.jpg')
            label = np.where(label == 3, 255, label).astype('u1')
            Image.fromarray(label).save(labels / f'{number}.png')


def weights_of(config: Path) -> dict[str, torch.Tensor]:
    """A network's random weights."""
    config = Config.fromfile(config)
    shrink(config._cfg_dict)
    return init_model(config, device='cpu').state_dict()
