"""PSPNet-R101 and PSPNet-R18 with random weights, and a random batch."""

import tempfile
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmkd.distillation import Distiller
from mmkd.registry import MODELS

CONFIGS = Path(__file__).parents[1] / 'configs' / 'pspnet'
STUDENT = CONFIGS / 'pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py'
TEACHER = CONFIGS / 'pspnet_r101-d8_4xb2-80k_cityscapes-512x1024.py'


def network_of(path: Path) -> nn.Module:
    """Return a network with random weights and batch statistics of random images.

    Without these statistics its activations would vanish, and a CPU is slow with
    subnormal numbers.
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


def distiller_of(device: str, losses: dict, **teacher: object) -> Distiller:
    """Return a Distiller of the pair.

    Args:
        device: Device of the Distiller.
        losses: Config of each loss by name.
        teacher: Further keys of ``teacher``.
    """
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'teacher.pth')
        torch.save(dict(state_dict=network_of(TEACHER).state_dict()), path)
        teacher |= dict(config=str(TEACHER), checkpoint=str(path))
        distiller = Distiller(network_of(STUDENT), teacher, losses)
        distiller.init_weights()
    if distiller.lacks_adapters:
        distiller.build_adapters(*batch_of('cpu', 128), seed=0)
    return distiller.to(device).train()


def batch_of(
    device: str, size: int, number: int = 2, classes: int = 19
) -> tuple[Tensor, list]:
    """Return images and their labels."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(number, 3, size, size, generator=generator).to(device)
    samples = []
    for _ in range(number):
        label = torch.randint(classes, (1, size, size), generator=generator)
        label[:, ::10] = 255
        sample = SegDataSample(gt_sem_seg=PixelData(data=label.to(device)))
        sample.set_metainfo(dict(img_shape=(size, size), pad_shape=(size, size)))
        samples.append(sample)
    return images, samples
