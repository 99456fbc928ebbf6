"""Segmentor of mmseg around any network of PyTorch."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors import BaseSegmentor, EncoderDecoder
from torch import Tensor, nn

from mmkd.errors import UserError
from mmkd.registry import MODELS

from .torch_network import SIZES, LogitsMixin, Output, TorchNetwork, as_module
from .torch_preprocessor import preprocessor_config


@MODELS.register_module()
class TorchSegmentor(TorchNetwork, EncoderDecoder):
    """Segmentor around any network of PyTorch, as a student or as a teacher.

    The network is a ``torch.nn.Module`` that maps images (N, 3, H, W) to logits
    (N, C, h, w) of any size. Losses, inference, testing and export are mmseg's, while
    checkpoints have the keys of the network itself.

    Args:
        module: ``type``, the import path of a class or function, and its arguments;
            see :func:`build_module`.
        output: Key, attribute or index of the logits in what the network returns.
            Default None: it returns the logits. For a mask classifier, two of them: of
            the logits of its classes and of its masks; see :func:`mask_logits`.
        decode_head: Arguments that mmseg's decode heads share: ``loss_decode``,
            ``ignore_index``, ``align_corners``, ``sampler``, ``num_classes`` (default:
            that of the network) and, for a single channel, ``threshold`` (default 0.5).
        mean, std, channel_order, input_range: What the network expects of its images;
            see :func:`preprocessor_config`. Default: as in ``data_preprocessor``.
        classes: Names of the network's classes, in the order of its logits.
        allow_code: Also build what may execute code of a file or of the internet.
            Default False.
        pretrained: Checkpoint to start the training from.
        data_preprocessor, train_cfg, test_cfg, init_cfg: As for any segmentor.

    Raises:
        UserError: if the network cannot be built or returns no logits.

    Example:
        >>> unet = dict(
        ...     type='segmentation_models_pytorch.Unet',
        ...     encoder_name='resnet18',
        ...     classes=11,
        ... )
        >>> segmentor = TorchSegmentor(
        ...     unet, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]
        ... )  # doctest: +SKIP
    """

    def __init__(
        self,
        module: Mapping | nn.Module,
        output: Output = None,
        decode_head: Mapping | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        channel_order: str | None = None,
        input_range: float | None = None,
        classes: Sequence[str] | None = None,
        allow_code: bool = False,
        data_preprocessor: Mapping | nn.Module | None = None,
        train_cfg: Mapping | None = None,
        test_cfg: Mapping | None = None,
        pretrained: str | None = None,
        init_cfg: Mapping | Sequence[Mapping] | None = None,
    ) -> None:
        if pretrained is not None:
            init_cfg = dict(type='Pretrained', checkpoint=pretrained)
        if not isinstance(data_preprocessor, nn.Module):
            data_preprocessor = preprocessor_config(
                # mmseg's needs one of size and size_divisor in training.
                data_preprocessor or dict(size_divisor=1),
                'mmseg.SegDataPreProcessor',
                'bgr_to_rgb',
                mean,
                std,
                channel_order,
                input_range,
            )
        built = as_module(module, allow_code)
        with DefaultScope.overwrite_default_scope('mmseg'):
            # Skip EncoderDecoder.__init__, which builds a backbone and a head.
            BaseSegmentor.__init__(self, data_preprocessor, init_cfg)
            self.module = built
            self.decode_head = TorchHead(output, classes, **(decode_head or {}))
        self.classes = classes
        self.train_cfg = train_cfg
        self.test_cfg = ConfigDict(test_cfg or dict(mode='whole'))
        own = (
            self.test_cfg.get('crop_size'),
            getattr(self.data_preprocessor, 'size', None),
        )
        self.try_out(self.decode_head, [*SIZES, *filter(None, own)])

    @property
    def align_corners(self) -> bool:
        """True if mmseg aligns the corners when it resizes the logits."""
        return self.decode_head.align_corners

    @property
    def num_classes(self) -> int | None:
        """Number of classes; None if no image has told it yet."""
        return self.decode_head.num_classes

    @property
    def out_channels(self) -> int | None:
        """Channels of the logits; None if no image has told them yet."""
        return self.decode_head.out_channels

    def slide_inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Predict windows of the images, which needs the number of channels first."""
        if self.out_channels is None:
            height, width = self.test_cfg.crop_size
            self._forward(inputs[:1, :, :height, :width])
        return super().slide_inference(inputs, batch_img_metas)


class TorchHead(LogitsMixin, BaseDecodeHead):
    """Parameter-free decode head that takes the logits from a network's outputs.

    Args:
        output: Where the logits are; see :class:`TorchSegmentor`.
        classes: Names of the classes.
        num_classes: Number of classes. Default: that of ``classes``, or as many as the
            first logits have channels.
        threshold: Of the probability of the second class, if there is one channel.
            Default 0.5.
        options: Further arguments of mmseg's decode heads.
    """

    ndim = 4

    def __init__(
        self,
        output: Output = None,
        classes: Sequence[str] | None = None,
        num_classes: int | None = None,
        threshold: float = 0.5,
        **options: Any,
    ) -> None:
        if {'in_channels', 'channels', 'in_index'} & set(options):
            raise UserError(
                'model.decode_head: a TorchSegmentor has no layers of its own; give '
                'only loss_decode, ignore_index, align_corners, sampler, num_classes '
                'and threshold'
            )
        super().__init__(
            **dict(in_channels=1, channels=1, num_classes=1, out_channels=1),
            threshold=threshold,
            dropout_ratio=0,
            init_cfg=None,
            **options,
        )
        del self.conv_seg
        self.output = output
        self.num_classes = num_classes or (len(classes) if classes else None)
        self.out_channels: int | None = None

    def forward(self, inputs: Any) -> Tensor:
        """Return the logits (N, C, H, W) among the outputs of the network."""
        logits = self.logits(inputs)
        if self.out_channels != logits.shape[1]:
            self._set_channels(logits.shape[1])
        return logits

    def _set_channels(self, channels: int) -> None:
        """Take over the number of channels of the first logits."""
        classes = max(channels, 2)  # a single channel separates two classes
        if self.num_classes not in (None, classes):
            raise UserError(
                f'{self.config_key}.decode_head.num_classes: {self.num_classes} (or so '
                f'many classes), but the network returns {channels} channels; make '
                'them equal'
            )
        self.num_classes, self.out_channels = classes, channels
