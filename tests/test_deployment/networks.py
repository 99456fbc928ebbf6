"""Small segmentors of random weights, and images that they see classes in."""

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope
from torch import Tensor, nn
from torch.nn import functional

from mmkd.registry import MODELS
from tests.test_tools.conftest import BASE


def segmentor(preprocessor: dict | None = None, **head: object) -> nn.Module:
    """A PSPNet of four channels, whose logits differ as a trained one's do."""
    model = Config.fromfile(BASE).model
    model.backbone.update(stem_channels=4, base_channels=4)
    model.decode_head.update(in_channels=32, channels=4, **head)
    model.auxiliary_head.update(in_channels=16, channels=4)
    model.data_preprocessor.update(preprocessor or {})
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmseg'):
        network = revert_sync_batchnorm(MODELS.build(model))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    network.requires_grad_(False)
    images = blocks(4, (64, 96)).permute(0, 3, 1, 2) / 64 - 2
    network.train()(images)
    network.eval().decode_head.conv_seg.weight.normal_()
    network.decode_head.conv_seg.bias -= network(images).mean((0, 2, 3))
    return network


def blocks(number: int, size: tuple[int, int]) -> Tensor:
    """RGB images (N, H, W, 3), uint8, of colored squares."""
    generator = torch.Generator().manual_seed(0)
    shape = (number, 3, *(side // 16 for side in size))
    colors = torch.randint(0, 256, shape, generator=generator).float()
    return functional.interpolate(colors, size).byte().permute(0, 2, 3, 1)
