"""Conversion of images between the normalizations of two networks."""

import torch
from torch import Tensor, nn

from mmkd.errors import UserError

# Attributes of preprocessors that swap BGR and RGB: in MMEngine and OneDL, in
# OpenMMLab's mmseg, and in mmpretrain.
SWAPS = ('_channel_conversion', 'channel_conversion', 'to_rgb')


class NormalizationBridge(nn.Module):
    """Convert images normalized for one network to the normalization of another.

    Inverts ``(x - mean) / std`` and the channel order of ``source``, a data
    preprocessor of MMEngine, mmseg or mmpretrain, and applies those of ``target``. If
    both agree, the images are returned unchanged. Padding, which preprocessors add
    after normalization, is converted like any other pixel.

    Args:
        source: Data preprocessor of the images.
        target: Data preprocessor of the network that receives them.
        key: Config key of that network, for error messages.

    Raises:
        UserError: if the networks' images have different numbers of channels.

    Example:
        >>> from mmengine.model import ImgDataPreprocessor
        >>> source = ImgDataPreprocessor(mean=[10.0], std=[2.0])
        >>> bridge = NormalizationBridge(source, ImgDataPreprocessor([0.0], [1.0]))
        >>> bridge(torch.ones(1, 1, 1, 1))
        tensor([[[[12.]]]])
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self, source: nn.Module, target: nn.Module, key: str = 'teacher.model'
    ) -> None:
        super().__init__()
        source_mean, source_std, source_swapped = _normalization(source)
        mean, std, swapped = _normalization(target)
        numbers = source_mean.numel(), mean.numel()
        if 1 not in numbers and len(set(numbers)) > 1:
            raise UserError(
                f'{key}.data_preprocessor.mean: {numbers[1]} values, one per '
                f"channel of the images, but the student's has {numbers[0]}; use a "
                'teacher of the same images'
            )
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
    """Return mean and std, (C, 1, 1) each, and True if BGR and RGB are swapped."""
    mean, std = torch.zeros(1, 1, 1), torch.ones(1, 1, 1)
    if getattr(preprocessor, '_enable_normalize', False):
        mean, std = (
            getattr(preprocessor, name).detach().cpu().clone()
            for name in ('mean', 'std')
        )
    swapped = any(getattr(preprocessor, name, False) for name in SWAPS)
    return mean, std, swapped
