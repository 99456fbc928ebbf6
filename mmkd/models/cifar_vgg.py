"""VGG networks for images of 32 x 32."""

from torch import Tensor, nn

from mmkd.registry import MODELS

from .backbone import CIFARBackbone

CHANNELS = (64, 128, 256, 512, 512)
CONVOLUTIONS = {  # number per block, by depth
    8: (1, 1, 1, 1, 1),
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
POOLED = 3  # number of blocks with pooling; 32 x 32 pixels are too few for more


@MODELS.register_module()
class CIFARVGG(CIFARBackbone):
    """VGG with batch normalization (BN) for CIFAR, followed by a single linear layer.

    Five blocks of 3x3 convolutions, with max pooling after the first three.

    Args:
        depth: 11, 13, 16 or 19 as in the paper, which includes its three linear layers,
            or 8, with one convolution per block.
        init_cfg: See :class:`CIFARBackbone`.

    Raises:
        ValueError: for an invalid ``depth``.

    Reference:
        Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image
        Recognition, ICLR 2015; for CIFAR: Tian et al., Contrastive Representation
        Distillation, ICLR 2020.

    Example:
        >>> import torch
        >>> (features,) = CIFARVGG(depth=8)(torch.zeros(2, 3, 32, 32))
        >>> features.shape
        torch.Size([2, 512, 4, 4])
    """

    out_channels = CHANNELS[-1]

    def __init__(self, depth: int, init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg)
        if depth not in CONVOLUTIONS:
            known = ', '.join(map(str, CONVOLUTIONS))
            raise ValueError(f'depth must be one of {known}, but is {depth}')
        self.blocks = nn.Sequential()
        in_channels = 3
        for channels, convolutions in zip(CHANNELS, CONVOLUTIONS[depth], strict=True):
            block = nn.Sequential()
            for _ in range(convolutions):
                block.append(nn.Conv2d(in_channels, channels, 3, padding=1))
                block.append(nn.BatchNorm2d(channels))
                block.append(nn.ReLU(inplace=True))
                in_channels = channels
            if len(self.blocks) < POOLED:
                block.append(nn.MaxPool2d(2))
            self.blocks.append(block)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Return one feature map (N, 512, H/8, W/8) of images (N, 3, H, W)."""
        return (self.blocks(x),)
