"""Wide ResNets for images of 32 x 32."""

from mmcv.cnn.resnet import conv3x3
from torch import Tensor, nn

from mmkd.registry import MODELS

from .backbone import CIFARBackbone


@MODELS.register_module()
class CIFARWideResNet(CIFARBackbone):
    """Wide ResNet (WRN) for CIFAR with 6n + 4 layers, without dropout.

    A 3x3 stem of 16 channels and three stages of n pre-activation blocks with 16, 32
    and 64 channels times ``widen_factor`` and strides 1, 2 and 2, followed by batch
    normalization (BN) and ReLU. Where a block changes the width, its shortcut is a 1x1
    convolution applied after the block's first BN and ReLU.

    Args:
        depth: Number of layers including shortcuts and classifier: 10, 16, 22, ...
        widen_factor: Factor of the width of a plain ResNet, >= 1. Default 1.
        init_cfg: See :class:`CIFARBackbone`.

    Raises:
        ValueError: for an invalid ``depth`` or ``widen_factor``.

    Reference:
        Zagoruyko and Komodakis, Wide Residual Networks, BMVC 2016.

    Example:
        >>> import torch
        >>> backbone = CIFARWideResNet(depth=16, widen_factor=2)
        >>> (features,) = backbone(torch.zeros(2, 3, 32, 32))
        >>> features.shape
        torch.Size([2, 128, 8, 8])
    """

    def __init__(
        self, depth: int, widen_factor: int = 1, init_cfg: dict | list | None = None
    ) -> None:
        super().__init__(init_cfg)
        blocks, rest = divmod(depth - 4, 6)
        if rest or blocks < 1:
            raise ValueError(f'depth must be 6n + 4 (10, 16, 22, ...), but is {depth}')
        if widen_factor < 1 or widen_factor != int(widen_factor):
            raise ValueError(f'widen_factor must be 1, 2, ..., but is {widen_factor}')
        widths = [16, *(16 * 2**stage * int(widen_factor) for stage in range(3))]
        self.conv1 = conv3x3(3, widths[0])
        self.layer1, self.layer2, self.layer3 = (
            nn.Sequential(
                PreActivationBlock(widths[i], width, stride),
                *(PreActivationBlock(width, width) for _ in range(blocks - 1)),
            )
            for i, (width, stride) in enumerate(zip(widths[1:], (1, 2, 2), strict=True))
        )
        self.bn1 = nn.BatchNorm2d(widths[-1])
        self.relu = nn.ReLU(inplace=True)
        self.out_channels = widths[-1]

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Return one feature map (N, out_channels, H/4, W/4) of images (N, 3, H, W)."""
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        return (self.relu(self.bn1(x)),)


class PreActivationBlock(nn.Module):
    """Residual block with BN and ReLU before each of its two 3x3 convolutions."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = conv3x3(in_channels, out_channels, stride)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.conv2 = conv3x3(out_channels, out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if in_channels != out_channels:
            self.downsample = nn.Conv2d(
                in_channels, out_channels, 1, stride, bias=False
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of (N, C, H, W), or its projection, and the residual."""
        out = self.relu(self.bn1(x))
        shortcut = x if self.downsample is None else self.downsample(out)
        return shortcut + self.conv2(self.relu(self.bn2(self.conv1(out))))
