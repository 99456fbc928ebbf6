"""Logits of a mask classifier's classes and masks."""

import torch
from torch import Tensor, einsum

from .checks import at_least_float32

# Smallest score of a class, relative to the largest of its pixel and absolute. It keeps
# logits and gradients finite, and their standard deviation that of other networks.
SMALLEST, LOWEST = 1e-6, 1e-30


def mask_logits(class_logits: Tensor, mask_logits: Tensor) -> Tensor:
    r"""Logits per pixel of a network that predicts masks and their classes.

    MaskFormer, Mask2Former and EoMT predict Q masks, each with its class or none. With
    their logits c and m, the logit of class k at a pixel is

    .. math:: s_k = \log \sum_q softmax(c_q)_k \, sigmoid(m_q)

    where the softmax includes "no object", the last class, which has no logit. The
    argmax of s is the prediction of these networks.

    Args:
        class_logits: (N, Q, C + 1).
        mask_logits: (N, Q, H, W).

    Returns:
        (N, C, H, W), in float32 or float64; no class is more than 13.8 below the
        largest of its pixel.

    Raises:
        ValueError: for other shapes.

    Reference:
        Cheng et al., Per-Pixel Classification is Not All You Need for Semantic
        Segmentation, NeurIPS 2021, section 3.4.

    Example:
        >>> classes, masks = torch.zeros(1, 4, 3), torch.zeros(1, 4, 8, 8)
        >>> mask_logits(classes, masks)[0, :, 0, 0]
        tensor([-0.4055, -0.4055])
    """
    if (
        class_logits.ndim != 3
        or mask_logits.ndim != 4
        or class_logits.shape[:2] != mask_logits.shape[:2]
    ):
        raise ValueError(
            'the logits of classes and masks must be (N, Q, C + 1) and (N, Q, H, W), '
            f'but are {tuple(class_logits.shape)} and {tuple(mask_logits.shape)}'
        )
    classes = at_least_float32(class_logits).softmax(2)[..., :-1]
    masks = at_least_float32(mask_logits).sigmoid()
    with torch.autocast(masks.device.type, enabled=False):
        return log_scores(einsum('nqc,nqhw->nchw', classes, masks))


def log_scores(scores: Tensor, dim: int = 1) -> Tensor:
    """Logarithm of class scores >= 0, at least that of a millionth of the largest.

    Example:
        >>> log_scores(torch.tensor([[1.0, 0.5, 0.0]]))
        tensor([[  0.0000,  -0.6931, -13.8155]])
    """
    scores = scores.clamp(min=LOWEST)
    largest = scores.detach().amax(dim, keepdim=True)
    return torch.maximum(scores, SMALLEST * largest).log()
