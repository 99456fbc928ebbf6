"""ShuffleNetV2 for images of 32 x 32."""

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmkd.registry import MODELS

from .backbone import conv_bn

CHANNELS = {  # of the three stages and the last layer, by widen_factor
    0.5: (48, 96, 192, 1024),
    1.0: (116, 232, 464, 1024),
    1.5: (176, 352, 704, 1024),
    2.0: (244, 488, 976, 2048),
}
UNITS = (4, 8, 4)


@MODELS.register_module()
class CIFARShuffleNetV2(BaseModule):
    """ShuffleNetV2 for CIFAR, whose stem is a 1x1 convolution without pooling.

    Args:
        widen_factor: 0.5, 1, 1.5 or 2, as in the paper. Default 1.
        init_cfg: MMEngine's config of another initialization or pretrained weights.
            Default None: PyTorch's initialization, as in the distillation papers.

    Raises:
        ValueError: for an invalid ``widen_factor``.

    Reference:
        Ma et al., ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture
        Design, ECCV 2018; for CIFAR: Tian et al., Contrastive Representation
        Distillation, ICLR 2020.

    Example:
        >>> import torch
        >>> (features,) = CIFARShuffleNetV2()(torch.zeros(2, 3, 32, 32))
        >>> features.shape
        torch.Size([2, 1024, 4, 4])
    """

    def __init__(
        self, widen_factor: float = 1.0, init_cfg: dict | list | None = None
    ) -> None:
        super().__init__(init_cfg)
        if widen_factor not in CHANNELS:
            known = ', '.join(map(str, CHANNELS))
            raise ValueError(f'widen_factor must be one of {known}, not {widen_factor}')
        *widths, self.out_channels = CHANNELS[widen_factor]
        widths = [24, *widths]
        self.conv1 = conv_bn(3, widths[0], 1)
        self.layer1, self.layer2, self.layer3 = (
            nn.Sequential(
                ShuffleUnit(*widths[i : i + 2]),
                *(ShuffleUnit(widths[i + 1], widths[i + 1]) for _ in range(units - 1)),
            )
            for i, units in enumerate(UNITS)
        )
        self.conv2 = conv_bn(widths[-1], self.out_channels, 1)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Return one feature map (N, out_channels, H/8, W/8) of images (N, 3, H, W)."""
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        return (self.conv2(x),)


class ShuffleUnit(nn.Module):
    """Unit of two branches whose output channels are interleaved.

    At equal widths the first branch passes half of the channels unchanged and the
    second processes the other half. Otherwise both branches process all channels and
    halve the resolution.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half, stride = out_channels // 2, 1
        self.branch1 = None
        if in_channels != out_channels:
            stride = 2
            self.branch1 = nn.Sequential(
                conv_bn(in_channels, in_channels, 3, 2, in_channels, relu=False),
                conv_bn(in_channels, half, 1),
            )
        self.branch2 = nn.Sequential(
            conv_bn(half if self.branch1 is None else in_channels, half, 1),
            conv_bn(half, half, 3, stride, groups=half, relu=False),
            conv_bn(half, half, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, out_channels, H/stride, W/stride) for (N, in_channels, H, W)."""
        if self.branch1 is None:
            one, two = x.chunk(2, 1)
        else:
            one, two = self.branch1(x), x
        both = torch.cat([one, self.branch2(two)], 1)
        return nn.functional.channel_shuffle(both, 2)
