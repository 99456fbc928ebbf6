"""Base of the CIFAR networks."""

from mmengine.model import BaseModule
from torch import nn


class CIFARBackbone(BaseModule):
    """A network for images of 32 x 32 that gives its last feature map.

    Its convolutions start as He et al. have it: normal, scaled by their fan-out. BN
    starts as the identity.

    Args:
        init_cfg: Another initialisation, as MMEngine takes it, or pretrained weights.
            Default None: as above.

    Attributes:
        out_channels: Channels of the map, which the head has as its ``in_channels``.
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
    """A convolution that keeps the size (at stride 1), BN and, by default, a ReLU."""
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
