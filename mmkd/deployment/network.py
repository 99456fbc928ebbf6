"""Trained networks, and what they become to be shipped."""

import copy
from pathlib import Path

import torch
from mmengine.config import Config, ConfigDict
from mmengine.model import ImgDataPreprocessor, revert_sync_batchnorm
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from mmkd.checkpoint import check_fit, load_weights
from mmkd.distillation.normalization import NormalizationBridge
from mmkd.distillation.teacher import inline_teacher
from mmkd.engine.student_config import is_distillation, student_config
from mmkd.errors import UserError
from mmkd.registry import MODELS

from .pooling import replace_pooling


def load_student(
    config: Config, checkpoint: str, allow_extra: bool = False
) -> tuple[nn.Module, dict]:
    """Builds the network of a config, a distillation's student, with its weights.

    Args:
        config: Of a distillation or of a network alone.
        checkpoint: Path or URL.
        allow_extra: Whether the checkpoint may hold weights that it has not got.

    Returns:
        The network, in eval mode, and the ``meta`` of the checkpoint.

    Raises:
        UserError: if the checkpoint cannot be read or does not fit.
    """
    config = student_config(config)
    model = dict(config.model)
    if 'data_preprocessor' in config:  # the Runner hands on a top-level one
        model.setdefault('data_preprocessor', config.data_preprocessor)
    return _load(model, config, checkpoint, 'checkpoint', allow_extra)


def load_teacher(config: Config, needed: bool = False) -> nn.Module | None:
    """Builds a distillation's teacher, if there is one and its weights are a file.

    Args:
        config: Of a distillation, or of anything else.
        needed: Whether it must be there; it is then fetched from a URL, too.

    Raises:
        UserError: if the weights do not fit, or there is no teacher that is needed.
    """
    if not is_distillation(config) or not config.model.get('teacher'):
        if needed:
            raise UserError(
                f"model: '{config.filename}' describes no teacher; give the config of "
                'a distillation'
            )
        return None
    folder = Path(config.filename).parent if config.filename else '.'
    teacher = inline_teacher(config.model.teacher, folder)
    if not needed and not Path(teacher['checkpoint']).is_file():
        return None
    key = 'model.teacher.checkpoint'
    return _load(teacher['model'], config, teacher['checkpoint'], key)[0]


def _load(
    model: dict, config: Config, path: str, key: str, allow_extra: bool = False
) -> tuple[nn.Module, dict]:
    state, meta = load_weights(path, key)
    with DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmseg')):
        network = revert_sync_batchnorm(MODELS.build(ConfigDict(model)))
    check_fit(network, state, f"{key}: '{path}'", allow_extra)
    network.load_state_dict(state, strict=False)
    return network.eval().requires_grad_(False), meta


def check_whole(network: nn.Module, key: str) -> None:
    """Raises a UserError for what no single pass over the given image can replace.

    Args:
        network: Of mmseg's.
        key: The config key that describes it, for the errors.
    """
    if not hasattr(network, 'encode_decode'):
        kind = type(network).__name__
        raise UserError(
            f"{key}: a {kind} is none of mmseg's segmentors, which it needs"
        )
    if (network.test_cfg or {}).get('mode', 'whole') != 'whole':
        raise UserError(
            f'{key}.test_cfg.mode: an exported network sees an image whole, in no '
            f'sliding window; test it so with --cfg-options {key}.test_cfg.mode=whole'
        )
    if getattr(network.data_preprocessor, 'test_cfg', None):
        raise UserError(
            f'{key}.data_preprocessor.test_cfg: an exported network pads no image; '
            f'drop it with --cfg-options {key}.data_preprocessor.test_cfg=None'
        )


class Deployable(nn.Module):
    """A segmentor from the pixels of an image to labels, in one forward pass.

    Holds a copy of the network, without its auxiliary heads and with its poolings
    written as matrix products. Normalises as its data preprocessor does, upsamples as
    its head does.

    Args:
        network: One of mmseg's segmentors.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        rgb = ImgDataPreprocessor(bgr_to_rgb=True)
        self.normalise = NormalizationBridge(rgb, network.data_preprocessor)
        self.network = copy.deepcopy(network)
        if hasattr(self.network, 'auxiliary_head'):
            del self.network.auxiliary_head
        replace_pooling(self.network)
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Segments (N, H, W, 3) RGB images of 0 to 255.

        Returns:
            The labels (N, H, W), bytes unless there are more than 256 classes, and the
            logits (N, C, H, W) they come from; of a single class its probability.
        """
        inputs = self.normalise(images.permute(0, 3, 1, 2).float())
        size = inputs.shape[2:]
        meta = dict(img_shape=size, pad_shape=size, ori_shape=size)  # of all
        logits = self.network.encode_decode(inputs, [meta])
        classes = logits.shape[1]
        if classes == 1:
            logits = logits.sigmoid()
            labels = logits[:, 0] > self.network.decode_head.threshold
        else:
            labels = logits.argmax(1)
        return labels.to(torch.uint8 if classes <= 256 else torch.int32), logits
