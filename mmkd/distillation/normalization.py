"""Conversion of images between two networks' normalizations."""

import torch
from torch import Tensor, nn

# What preprocessors call it that BGR and RGB are swapped: MMEngine's and OneDL's,
# OpenMMLab's mmseg's, mmpretrain's.
SWAPS = ('_channel_conversion', 'channel_conversion', 'to_rgb')


class NormalizationBridge(nn.Module):
    """Convert images normalized for one network into those of another.

    Undoes ``(x - mean) / std`` and the channel order of ``source``, a data preprocessor
    of MMEngine's, mmseg's or mmpretrain's, and applies those of ``target``. Where both
    are alike it hands the images on untouched. Padding, which preprocessors add after
    normalizing, is moved like a pixel of the source's padding value.

    Example:
        >>> from mmengine.model import ImgDataPreprocessor
        >>> source = ImgDataPreprocessor(mean=[10.0], std=[2.0])
        >>> bridge = NormalizationBridge(source, ImgDataPreprocessor([0.0], [1.0]))
        >>> bridge(torch.ones(1, 1, 1, 1))
        tensor([[[[12.]]]])
    """

    def __init__(self, source: nn.Module, target: nn.Module) -> None:
        super().__init__()
        source_mean, source_std, source_swapped = _normalization(source)
        mean, std, swapped = _normalization(target)
        self.swap = source_swapped != swapped
        if self.swap:
            source_mean, source_std = source_mean.flip(0), source_std.flip(0)
        self.register_buffer('scale', source_std / std)
        self.register_buffer('shift', (source_mean - mean) / std)
        self.identical = not self.swap and bool(
            (self.scale == 1).all() and (self.shift == 0).all()
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the (N, C, H, W) images with the target network's normalization."""
        if self.identical:
            return images
        if self.swap:
            images = images.flip(1)
        return images * self.scale + self.shift


def _normalization(preprocessor: nn.Module) -> tuple[Tensor, Tensor, bool]:
    """Mean, standard deviation, (C, 1, 1) each, and whether BGR and RGB are swapped."""
    mean, std = torch.zeros(1, 1, 1), torch.ones(1, 1, 1)
    if getattr(preprocessor, '_enable_normalize', False):
        mean = preprocessor.mean.detach().cpu().clone()
        std = preprocessor.std.detach().cpu().clone()
    swapped = any(getattr(preprocessor, name, False) for name in SWAPS)
    return mean, std, swapped
