"""The main recipe's networks and a random batch, without any file."""

import tempfile
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmkd.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs'
(RECIPE,) = CONFIGS.glob('bdd_ls/*_4xb2-40k_cityscapes-512x512.py')


def network_of(path: str | Path) -> nn.Module:
    """A network of random weights whose BN have seen images.

    Else its activations would die away, and a CPU is slow with numbers next to 0.
    """
    config = Config.fromfile(path).model
    config.pretrained = None
    with DefaultScope.overwrite_default_scope('mmseg'):
        network = revert_sync_batchnorm(MODELS.build(config))
    network.init_weights()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.randn(2, 3, 128, 128))
    return network


def distiller_of(device: str, loss: dict, **teacher: object) -> nn.Module:
    """R101 to R18 with other settings of the loss and of the teacher."""
    config = Config.fromfile(RECIPE)
    config.model.student.pretrained = None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'teacher.pth')
        torch.manual_seed(0)
        network = network_of(config.model.teacher.config)
        torch.save(dict(state_dict=network.state_dict()), path)
        config.model.teacher.update(checkpoint=str(path), **teacher)
        config.model.distill_losses.loss_kd.update(loss)
        with DefaultScope.overwrite_default_scope('mmseg'):
            distiller = MODELS.build(config.model)
            distiller.init_weights()
    if device == 'cpu':
        distiller.student = revert_sync_batchnorm(distiller.student)
        distiller.teacher.model = revert_sync_batchnorm(distiller.teacher.model).eval()
    return distiller.to(device).train()


def batch_of(device: str, size: int) -> tuple[Tensor, list]:
    """Two images and labels."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, size, size, generator=generator).to(device)
    samples = []
    for _ in range(2):
        label = torch.randint(19, (1, size, size), generator=generator)
        label[:, ::10] = 255
        sample = SegDataSample(gt_sem_seg=PixelData(data=label.to(device)))
        sample.set_metainfo(dict(img_shape=(size, size), pad_shape=(size, size)))
        samples.append(sample)
    return images, samples
