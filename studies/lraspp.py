"""LRASPP head for small images."""

from mmseg.models.decode_heads import LRASPPHead
from mmseg.registry import MODELS
from torch import nn


@MODELS.register_module()
class GlobalLRASPPHead(LRASPPHead):
    """LRASPP head that pools the whole image.

    mmseg's head pools windows of 49x49 positions, which are larger than the features of
    a crop of 144x144.
    """

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.image_pool[0] = nn.AdaptiveAvgPool2d(1)
