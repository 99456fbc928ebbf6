"""Logits in the output of a tap."""

import torch
from torch import Tensor

from mmkd.functional import mask_logits


def logits_of(output: object) -> Tensor | None:
    """Return the logits in a module's output; None if there are none.

    * A tensor is returned as it is.
    * Class scores and masks of a mask classifier become :func:`mask_logits`, those of
      the last decoder layer.
    * Of other lists and tuples, the last map (N, C, H, W) is returned, as of K-Net's
      stages.
    * Several (N, C), such as Conformer's, are added, since their sum is predicted.
    * A single tensor in a list or tuple is returned, such as a transformer's tokens.
    """
    if isinstance(output, list | tuple) and len(output) == 1:
        output = output[0]
    if isinstance(output, Tensor):
        return output
    pair = scores_and_masks(output)
    if pair is not None:
        return mask_logits(*pair)
    if not isinstance(output, list | tuple) or not output:
        return None
    if not all(isinstance(item, Tensor) for item in output):
        return None
    maps = [item for item in output if item.ndim == 4]
    if maps:
        return maps[-1]
    vectors = output[0].ndim == 2 and len({item.shape for item in output}) == 1
    return torch.stack(tuple(output)).sum(0) if vectors else None


def scores_and_masks(output: object) -> tuple[Tensor, Tensor] | None:
    """Return a mask classifier's class scores and masks, given in any order.

    Of several decoder layers, those of the last; None for any other output.
    """
    if not isinstance(output, list | tuple) or len(output) != 2:
        return None
    last = [item[-1] if isinstance(item, list | tuple) else item for item in output]
    if not all(isinstance(item, Tensor) for item in last):
        return None
    scores, masks = sorted(last, key=lambda item: item.ndim)
    if (scores.ndim, masks.ndim) == (4, 5):  # all decoder layers, stacked
        scores, masks = scores[-1], masks[-1]
    fits = (scores.ndim, masks.ndim) == (3, 4) and scores.shape[:2] == masks.shape[:2]
    return (scores, masks) if fits else None
