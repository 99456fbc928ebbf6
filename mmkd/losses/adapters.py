"""Adapter from the student's features to the teacher's number of channels."""

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from mmkd.registry import MODELS, qualified


def conv(in_channels: int, out_channels: int) -> nn.Module:
    """1x1 convolution (FitNets)."""
    return nn.Conv2d(in_channels, out_channels, 1)


def conv_bn(in_channels: int, out_channels: int) -> nn.Module:
    """1x1 convolution and batch normalization (BN)."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, bias=False),
        nn.BatchNorm2d(out_channels),
    )


def mlp(in_channels: int, out_channels: int) -> nn.Module:
    """Multilayer perceptron (MLP) per position, with one hidden layer."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(out_channels, out_channels, 1),
    )


KINDS: dict[str, Callable[[int, int], nn.Module]] = {
    function.__name__: function for function in (conv, conv_bn, mlp)
}


class Adapter(nn.Module):
    """Trained map from the student's features to the teacher's number of channels.

    It is part of the loss, not of the student: it is trained with the student's
    optimizer, saved beside the student for a resume, and dropped afterwards.

    Args:
        kind: ``'conv'``, a 1x1 convolution; ``'conv_bn'``, the same with batch
            normalization; ``'mlp'``, two 1x1 convolutions with batch normalization and
            ReLU between them; or the config of a registered module, which is built with
            ``in_channels`` and ``out_channels`` and maps (N, C, H, W). Vectors are maps
            of one position.

    Raises:
        ValueError: for an unknown kind.

    Example:
        >>> import torch
        >>> adapter = Adapter('conv')
        >>> adapter.build(in_channels=64, out_channels=256)
        >>> adapter(torch.zeros(2, 64, 8, 8)).shape
        torch.Size([2, 256, 8, 8])
    """

    def __init__(self, kind: str | Mapping) -> None:
        super().__init__()
        if not isinstance(kind, Mapping) and kind not in KINDS:
            raise ValueError(
                f'adapter must be {", ".join(map(repr, KINDS))} or the config of a '
                f'module, not {kind!r}'
            )
        self.kind = kind
        self.in_channels = 0

    def build(self, in_channels: int, out_channels: int) -> None:
        """Create the module, with newly initialized parameters."""
        if isinstance(self.kind, str):
            network = KINDS[self.kind](in_channels, out_channels)
        else:
            channels = dict(in_channels=in_channels, out_channels=out_channels)
            network = MODELS.build(qualified({**self.kind, **channels}))
        self.network = network
        self.in_channels = in_channels

    def forward(self, features: Tensor) -> Tensor:
        """Return features (N, C, H, W) or (N, C) with the teacher's channels."""
        if features.shape[1] != self.in_channels:
            raise ValueError(
                f'the adapter was built for {self.in_channels} channels, but the '
                f"student's tap now outputs {features.shape[1]}; name a tap whose "
                'number of channels is constant'
            )
        if features.ndim == 2:
            return self.network(features[..., None, None])[..., 0, 0]
        return self.network(features)
