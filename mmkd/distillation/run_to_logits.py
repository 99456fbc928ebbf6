"""Forward pass of a network as far as its logits."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from mmkd.engine.num_classes import segmentation_head

from .taps import ENCODE_DECODE


def run_to_logits(model: nn.Module, images: Tensor, taps: Iterable[str] = ()) -> object:
    """Run a network as far as its logits, without labels; return its output.

    A network's mode ``'tensor'`` is the cheapest way. A segmentor whose head has no
    ``conv_seg`` runs its own ``encode_decode`` instead: mask classifiers need the size
    of the images, which mode ``'tensor'`` does not pass, and PointRend refines there.
    K-Net's head, which in train mode outputs a list of logits, needs neither.
    """
    head = segmentation_head(model)
    by_conv_seg = head is None or any(
        hasattr(head, name) for name in ('conv_seg', 'kernel_generate_head')
    )
    encode_decode: Any = getattr(model, ENCODE_DECODE, None)
    if ENCODE_DECODE not in taps and (by_conv_seg or encode_decode is None):
        return model(images, mode='tensor')
    size = tuple(images.shape[2:])
    metas = [
        dict(ori_shape=size, img_shape=size, pad_shape=size, padding_size=[0] * 4)
        for _ in images
    ]
    # A network without a backbone, such as SAN, converts no images of its own.
    parameter = next(model.parameters(), images)
    return encode_decode(images.to(parameter.dtype), metas)
