"""Loading of trained networks, and their exportable form."""

import copy
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.model import BaseModel, ImgDataPreprocessor, revert_sync_batchnorm
from mmengine.registry import DefaultScope
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.overrides import TorchFunctionMode

from mmkd.checkpoint import load_weights
from mmkd.checkpoint_fit import check_fit
from mmkd.distillation.normalization import NormalizationBridge
from mmkd.distillation.teacher import Teacher
from mmkd.distillation.teacher_config import inline_teacher
from mmkd.distillation.teachers import Teachers, build_teacher
from mmkd.errors import UserError
from mmkd.registry import MODELS

from .pooling import replace_pooling


def load_network(
    config: Config, checkpoint: str, allow_extra: bool = False
) -> tuple[nn.Module, dict]:
    """Build the network of a config, the student of a distillation, with weights.

    Args:
        config: Config of a distillation or an ordinary training.
        checkpoint: Path or URL.
        allow_extra: Allow weights in the checkpoint that the network does not have.
            Default False.

    Returns:
        The network in eval mode, and the ``meta`` of the checkpoint.

    Raises:
        UserError: if the checkpoint cannot be read or does not match the network.
    """
    model = dict(config.model)
    if 'data_preprocessor' in config:  # the Runner passes a top-level one
        model.setdefault('data_preprocessor', config.data_preprocessor)
    state, meta = load_weights(checkpoint, 'checkpoint')
    with DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmseg')):
        network = revert_sync_batchnorm(MODELS.build(ConfigDict(model)))
    check_fit(network, state, f"checkpoint: '{checkpoint}'", allow_extra)
    network.load_state_dict(state, strict=False)
    return network.eval().requires_grad_(False), meta


def load_teacher(config: Config) -> Teacher | Teachers:
    """Build the teacher, or several by name, of a distillation config with weights.

    It predicts its own classes until :meth:`Teacher.map_classes` is called.

    Raises:
        UserError: if the config has no teacher, or its weights do not match.
    """
    if not config.get('teacher'):
        raise UserError(
            f"teacher: missing in '{config.filename}'; give a distillation config"
        )
    keys = inline_teacher(config.teacher, Path(config.filename or '.').parent)
    with DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmseg')):
        teacher = build_teacher(keys, nn.Identity())
    for each in teacher.members.values():
        each.model = revert_sync_batchnorm(each.model)
    return teacher


def check_exportable(network: BaseModel) -> None:
    """Raise a UserError unless mmseg's inference is a single pass over an image."""
    if not hasattr(network, 'encode_decode'):
        kind = type(network).__name__
        raise UserError(
            f'model: only mmseg segmentors can be exported, not a {kind}; use the '
            'config of a segmentor'
        )
    if (network.test_cfg or {}).get('mode', 'whole') != 'whole':
        raise UserError(
            'model.test_cfg.mode: an exported network has no sliding window; test it '
            'on whole images with --cfg-options model.test_cfg.mode=whole'
        )
    if getattr(network.data_preprocessor, 'test_cfg', None):
        raise UserError(
            'model.data_preprocessor.test_cfg: an exported network does not pad '
            'images; remove it with --cfg-options model.data_preprocessor.test_cfg=None'
        )


class Deployable(nn.Module):
    """Segmentor that maps raw images to labels in one forward pass.

    A copy of the network without auxiliary heads, in which adaptive pooling is
    expressed as matrix products. It includes the normalization of the data preprocessor
    and the upsampling of the head.

    Args:
        network: mmseg segmentor.
    """

    def __init__(self, network: BaseModel) -> None:
        super().__init__()
        rgb = ImgDataPreprocessor(bgr_to_rgb=True)
        self.normalize = NormalizationBridge(rgb, network.data_preprocessor)
        self.network = copy.deepcopy(network)
        if hasattr(self.network, 'auxiliary_head'):
            del self.network.auxiliary_head
        replace_pooling(self.network)
        aligning: list[Any] = [
            module
            for module in self.network.modules()
            if getattr(module, 'align_corners', False)
        ]
        for module in aligning:
            module.align_corners = None
        self.resizing = _AlignCorners() if aligning else nullcontext()
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Segment RGB images (N, H, W, 3) with values from 0 to 255.

        Returns:
            The labels (N, H, W), uint8 for up to 256 classes, and the logits
            (N, C, H, W), or the probability for a single class.
        """
        inputs = self.normalize(images.permute(0, 3, 1, 2).float())
        size = inputs.shape[2:]
        meta = dict(img_shape=size, pad_shape=size, ori_shape=size)  # of all images
        with self.resizing:
            logits = self.network.encode_decode(inputs, [meta])
        classes = logits.shape[1]
        if classes == 1:
            logits = logits.sigmoid()
            labels = logits[:, 0] > self.network.decode_head.threshold
        else:
            labels = logits.argmax(1)
        return labels.to(torch.uint8 if classes <= 256 else torch.int32), logits


class _AlignCorners(TorchFunctionMode):
    """Interpret ``align_corners=None`` of bilinear interpolation as True.

    With True, mmseg's resize compares sizes in order to warn about some of them, which
    would make the sizes constant in an exported graph.
    """

    def __torch_function__(
        self,
        func: Callable,
        types: object,
        args: tuple = (),
        kwargs: dict | None = None,
    ) -> object:
        kwargs = dict(kwargs or {})
        smooth = func is interpolate and kwargs['mode'] in ('bilinear', 'bicubic')
        if smooth and kwargs['align_corners'] is None:
            kwargs['align_corners'] = True
        return func(*args, **kwargs)
