"""MobileNetV2 for images of 32 x 32."""

from torch import Tensor, nn

from mmkd.registry import MODELS

from .backbone import CIFARBackbone, conv_bn

# Expansion, channels, blocks and stride of each stage. The ImageNet version has stride
# 2 in the second stage.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


@MODELS.register_module()
class CIFARMobileNetV2(CIFARBackbone):
    """MobileNetV2 for CIFAR with half the usual stride, as in the distillation papers.

    Unlike MMPretrain's version it does not round widths to multiples of 8, uses ReLU
    instead of ReLU6, and has an expanding convolution in the first block, too.

    Args:
        widen_factor: Factor of all widths, > 0, except that the last layer has at least
            1280 channels. Default 1; the distillation papers use 0.5.
        init_cfg: See :class:`CIFARBackbone`.

    Raises:
        ValueError: if a layer would have no channels.

    Reference:
        Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR
        2018; for CIFAR: Tian et al., Contrastive Representation Distillation, ICLR
        2020.

    Example:
        >>> import torch
        >>> backbone = CIFARMobileNetV2(widen_factor=0.5)
        >>> (features,) = backbone(torch.zeros(2, 3, 32, 32))
        >>> features.shape
        torch.Size([2, 1280, 2, 2])
    """

    def __init__(
        self, widen_factor: float = 1.0, init_cfg: dict | list | None = None
    ) -> None:
        super().__init__(init_cfg)
        if int(16 * widen_factor) < 1:
            raise ValueError(f'widen_factor must be >= 1/16, but is {widen_factor}')
        width = int(32 * widen_factor)
        self.conv1 = conv_bn(3, width, 3, stride=2)
        self.blocks = nn.Sequential()
        for expand_ratio, channels, blocks, stride in STAGES:
            stage = nn.Sequential()
            for index in range(blocks):
                block = InvertedResidual(
                    width,
                    int(channels * widen_factor),
                    stride if index == 0 else 1,
                    expand_ratio,
                )
                stage.append(block)
                width = block.out_channels
            self.blocks.append(stage)
        self.out_channels = int(1280 * max(1.0, widen_factor))
        self.conv2 = conv_bn(width, self.out_channels, 1)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Return one feature map (N, out_channels, H/16, W/16) of images."""
        return (self.conv2(self.blocks(self.conv1(x))),)


class InvertedResidual(nn.Module):
    """Inverted residual: expansion, depthwise convolution and projection."""

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, expand_ratio: int
    ) -> None:
        super().__init__()
        wide = in_channels * expand_ratio
        self.conv = nn.Sequential(
            *conv_bn(in_channels, wide, 1),
            *conv_bn(wide, wide, 3, stride, groups=wide),
            *conv_bn(wide, out_channels, 1, relu=False),
        )
        self.out_channels = out_channels
        self.has_shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, out_channels, H/stride, W/stride) for (N, C, H, W)."""
        return x + self.conv(x) if self.has_shortcut else self.conv(x)
