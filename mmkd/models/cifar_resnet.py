"""ResNets for images of 32 x 32."""

from mmcv.cnn.resnet import BasicBlock, conv3x3, make_res_layer
from torch import Tensor, nn

from mmkd.registry import MODELS

from .backbone import CIFARBackbone


@MODELS.register_module()
class CIFARResNet(CIFARBackbone):
    """ResNet for CIFAR with three stages and 6n + 2 layers.

    A 3x3 stem without pooling and n basic blocks per stage, with strides 1, 2 and 2;
    each stage is twice as wide as the previous one. Where a block changes the shape,
    its shortcut is a 1x1 convolution with batch normalization.

    The wider versions of the distillation papers, resnet8x4 and resnet32x4, have
    ``stem_channels=32, base_channels=64``.

    Args:
        depth: Number of layers including the classifier: 8, 14, 20, 26, ...
        stem_channels: Channels of the stem. Default 16.
        base_channels: Channels of the first stage. Default 16.
        init_cfg: See :class:`CIFARBackbone`.

    Raises:
        ValueError: for an invalid ``depth``.

    Reference:
        He et al., Deep Residual Learning for Image Recognition, CVPR 2016,
        section 4.2.

    Example:
        >>> import torch
        >>> (features,) = CIFARResNet(depth=20)(torch.zeros(2, 3, 32, 32))
        >>> features.shape
        torch.Size([2, 64, 8, 8])
    """

    def __init__(
        self,
        depth: int,
        stem_channels: int = 16,
        base_channels: int = 16,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg)
        blocks, rest = divmod(depth - 2, 6)
        if rest or blocks < 1:
            raise ValueError(f'depth must be 6n + 2 (8, 14, 20, ...), but is {depth}')
        self.conv1 = conv3x3(3, stem_channels)
        self.bn1 = nn.BatchNorm2d(stem_channels)
        self.relu = nn.ReLU(inplace=True)
        widths = [stem_channels, *(base_channels * 2**stage for stage in range(3))]
        self.layer1, self.layer2, self.layer3 = (
            make_res_layer(BasicBlock, *widths[i : i + 2], blocks, stride)
            for i, stride in enumerate((1, 2, 2))
        )
        self.out_channels = widths[-1]

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Return one feature map (N, out_channels, H/4, W/4) of images (N, 3, H, W)."""
        x = self.relu(self.bn1(self.conv1(x)))
        return (self.layer3(self.layer2(self.layer1(x))),)
