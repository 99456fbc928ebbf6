"""MobileNetV3 with LRASPP head for small images on a CPU."""

from mmcv.cnn.bricks import Conv2dAdaptivePadding
from mmseg.models.backbones import MobileNetV3
from mmseg.models.decode_heads import LRASPPHead
from mmseg.registry import MODELS
from torch import nn


@MODELS.register_module()
class UndilatedMobileNetV3(MobileNetV3):
    """Small MobileNetV3 with output stride 16 and without dilation.

    mmseg's has output stride 8, which takes four times as long.
    """

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.layer4.depthwise_conv.conv.stride = (2, 2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                module.dilation = (1, 1)
                if not isinstance(module, Conv2dAdaptivePadding):
                    module.padding = tuple(size // 2 for size in module.kernel_size)


@MODELS.register_module()
class GlobalLRASPPHead(LRASPPHead):
    """LRASPP head that pools the whole image.

    mmseg's head pools windows of 49x49 positions, which are larger than the features of
    a crop of 144x144.
    """

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.image_pool[0] = nn.AdaptiveAvgPool2d(1)
