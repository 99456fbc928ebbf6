"""Classifier of MMPretrain around any network of PyTorch."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.registry import DefaultScope
from torch import Tensor, nn

try:
    from mmpretrain.models import ClsHead, ImageClassifier
except ImportError as error:
    raise ImportError(
        f"mmkd.TorchClassifier needs MMPretrain ({error}): pip install 'mmkd[cls]'"
    ) from error

from mmkd.registry import MODELS

from .torch_network import SIZES, LogitsMixin, Output, TorchNetwork, as_module
from .torch_preprocessor import preprocessor_config


@MODELS.register_module()
class TorchClassifier(TorchNetwork, ImageClassifier):
    """Classifier around any network of PyTorch, as a student or as a teacher.

    The network is a ``torch.nn.Module`` that maps images (N, 3, H, W) to logits (N, C).

    Args:
        module, output, mean, std, channel_order, input_range, classes, allow_code: As
            of :class:`TorchSegmentor`.
        head: Arguments of MMPretrain's ``ClsHead``: ``loss``, ``topk``, ``cal_acc``.
        data_preprocessor, train_cfg, init_cfg: As for any classifier.

    Raises:
        UserError: if the network cannot be built or returns no logits.

    Example:
        >>> vit = dict(type='timm.create_model', model_name='vit_tiny_patch16_224')
        >>> classifier = TorchClassifier(vit, mean=[0.5] * 3, std=[0.5] * 3)
        ... # doctest: +SKIP
    """

    def __init__(
        self,
        module: Mapping | nn.Module,
        output: Output = None,
        head: Mapping | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        channel_order: str | None = None,
        input_range: float | None = None,
        classes: Sequence[str] | None = None,
        allow_code: bool = False,
        data_preprocessor: Mapping | nn.Module | None = None,
        train_cfg: Mapping | None = None,
        init_cfg: Mapping | Sequence[Mapping] | None = None,
    ) -> None:
        if not isinstance(data_preprocessor, nn.Module):
            data_preprocessor = preprocessor_config(
                data_preprocessor,
                'mmpretrain.ClsDataPreprocessor',
                'to_rgb',
                mean,
                std,
                channel_order,
                input_range,
            )
        built = as_module(module, allow_code)
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            ImageClassifier.__init__(
                self,
                backbone=built,
                head=TorchClsHead(output, **(head or {})),
                train_cfg=train_cfg,
                data_preprocessor=data_preprocessor,
                init_cfg=init_cfg,
            )
        self.module = self._modules.pop('backbone')
        self.classes = classes
        self.try_out(self.head, SIZES)


class TorchClsHead(LogitsMixin, ClsHead):
    """Parameter-free head that takes the logits from a network's outputs.

    Args:
        output: Where the logits are; see :class:`TorchSegmentor`.
        options: Arguments of MMPretrain's ``ClsHead``.
    """

    ndim = 2

    def __init__(self, output: Output = None, **options: Any) -> None:
        super().__init__(**options)
        self.output = output

    def forward(self, feats: Any) -> Tensor:
        """Return the logits (N, C) among the outputs of the network."""
        return self.logits(feats)
