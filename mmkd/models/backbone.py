"""Base class of the CIFAR networks."""

from mmengine.model import BaseModule
from torch import nn


class CIFARBackbone(BaseModule):
    """Backbone for images of 32 x 32 pixels that returns its last feature map.

    Convolutions are initialized from a normal distribution scaled by their fan-out (He
    et al.), batch normalization as the identity.

    Args:
        init_cfg: MMEngine's config of another initialization or pretrained weights.
            Default None: as above.

    Attributes:
        out_channels: Channels of the feature map, the head's ``in_channels``.
    """

    out_channels: int

    def __init__(self, init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg or dict(type='Kaiming', layer='Conv2d'))


def conv_bn(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    groups: int = 1,
    relu: bool = True,
) -> nn.Sequential:
    """Return a padded convolution with batch normalization (BN) and optional ReLU."""
    layers = [
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding=kernel_size // 2,
            groups=groups,
            bias=False,
        ),
        nn.BatchNorm2d(out_channels),
    ]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))
