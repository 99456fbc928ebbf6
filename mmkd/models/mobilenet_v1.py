"""MobileNetV1, which MMPretrain lacks."""

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmkd.registry import MODELS

from .backbone import conv_bn

# Channels and stride of each depthwise separable convolution.
LAYERS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
    *[(512, 1)] * 5, (1024, 2), (1024, 1),
)  # fmt: skip


@MODELS.register_module()
class MobileNetV1(BaseModule):
    """MobileNetV1 of full width, the student of ResNet-50 on ImageNet.

    A 3x3 stem and 13 depthwise separable convolutions; 4.2 M parameters with a head of
    1000 classes.

    Args:
        init_cfg: MMEngine's config of initialization or pretrained weights. Default:
            normal with each convolution's fan-out (He et al.).

    Reference:
        Howard et al., MobileNets: Efficient Convolutional Neural Networks for Mobile
        Vision Applications, arXiv 1704.04861, table 1.

    Example:
        >>> import torch
        >>> (features,) = MobileNetV1()(torch.zeros(1, 3, 64, 64))
        >>> features.shape
        torch.Size([1, 1024, 2, 2])
    """

    out_channels = LAYERS[-1][0]

    def __init__(self, init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg or dict(type='Kaiming', layer='Conv2d'))
        width = 32
        self.layers = nn.Sequential(conv_bn(3, width, 3, stride=2))
        for channels, stride in LAYERS:
            self.layers.append(conv_bn(width, width, 3, stride, groups=width))
            self.layers.append(conv_bn(width, channels, 1))
            width = channels

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Return one feature map (N, 1024, H/32, W/32) of images (N, 3, H, W)."""
        return (self.layers(x),)
