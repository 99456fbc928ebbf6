"""Segmentation network of a backbone of timm and one linear layer."""

from typing import Any

import torch
from torch import Tensor, nn


class LinearSegmentor(nn.Module):
    """Backbone of timm with a linear layer that classifies its features.

    Use it as ``module`` of a :class:`TorchSegmentor`. The features are the last map of
    a convolutional network or the tokens of a transformer, without its class token.

    Args:
        backbone: Network of timm; in a config, ``type='timm.create_model'`` and its
            arguments.
        num_classes: Number of classes.
        frozen: Train only the linear layer; the backbone stays in eval mode. Default
            True.

    Example:
        >>> import timm
        >>> resnet = timm.create_model('test_resnet.r160_in1k')
        >>> LinearSegmentor(resnet, num_classes=11)(torch.zeros(1, 3, 64, 64)).shape
        torch.Size([1, 11, 2, 2])
    """

    backbone: Any

    def __init__(
        self, backbone: nn.Module, num_classes: int, frozen: bool = True
    ) -> None:
        super().__init__()
        self.backbone = backbone
        if hasattr(backbone, 'reset_classifier'):
            self.backbone.reset_classifier(0)  # its own layer for classes is not needed
        self.frozen = frozen
        self.backbone.requires_grad_(not frozen)
        self.head = nn.Conv2d(self.backbone.num_features, num_classes, 1)
        self.train()

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, C, h, w) of images (N, 3, H, W)."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            features = self.backbone.forward_features(images)
        if features.ndim == 3:  # tokens
            tokens = features[:, getattr(self.backbone, 'num_prefix_tokens', 0) :]
            height, width = self.backbone.patch_embed.dynamic_feat_size(
                images.shape[2:]
            )
            features = tokens.mT.unflatten(2, (height, width))
        elif features.shape[1] != self.backbone.num_features:  # NHWC
            features = features.permute(0, 3, 1, 2)
        return self.head(features)

    def train(self, mode: bool = True) -> 'LinearSegmentor':
        """Keep a frozen backbone in eval mode."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self
