"""Check of a network's input channels against the images."""

import copy

import torch
from torch import nn

from mmkd.errors import UserError

SIZE = 64  # of the image on which a doubtful backbone is tried


def check_input_channels(network: nn.Module, preprocessor: nn.Module, key: str) -> None:
    """Raise a UserError if a network does not accept the images.

    Images have as many channels as the preprocessor's mean has values. A backbone may
    begin with something else than a convolution of the image, so one whose first
    convolution has another number of channels is tried on an empty image.

    Args:
        network: Segmentor or classifier.
        preprocessor: Preprocessor of the images.
        key: Config key of the network.
    """
    backbone = getattr(network, 'backbone', None)
    mean = getattr(preprocessor, 'mean', None)
    if backbone is None or mean is None or mean.numel() == 1:
        return
    convolutions = (m for m in backbone.modules() if isinstance(m, nn.Conv2d))
    first, channels = next(convolutions, None), mean.numel()
    if first is None or first.in_channels == channels:
        return
    backbone = copy.deepcopy(backbone)
    backbone.eval()  # returns None in mmseg
    image = torch.zeros(1, channels, SIZE, SIZE).to(first.weight)
    try:
        with torch.no_grad():
            backbone(image)
    except RuntimeError as error:
        if f'to have {first.in_channels} channels, but got {channels}' in str(error):
            raise UserError(
                f'{key}.backbone.in_channels: {first.in_channels}, but the images have '
                f"{channels} channels, the number of values of the student's "
                'model.data_preprocessor.mean; correct one of them'
            ) from error
