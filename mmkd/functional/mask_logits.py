"""Logits of a mask classifier's classes and masks."""

from torch import Tensor, einsum

from .checks import at_least_float32

# Scores below this have the logit of this value, so that logits and gradients are
# finite.
LOWEST = 1e-30


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
        (N, C, H, W), from -69 to log Q, in float32 or float64.

    Raises:
        ValueError: for other shapes.

    Reference:
        Cheng et al., Per-Pixel Classification is Not All You Need for Semantic
        Segmentation, NeurIPS 2021, section 3.4.

    Example:
        >>> import torch
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
    return einsum('nqc,nqhw->nchw', classes, masks).clamp(min=LOWEST).log()
