"""Sigmoid outputs as softmaxes over two classes."""

import torch
from torch import Tensor

from .checks import at_least_float32
from .masking import EXCLUDED


def bernoulli_logits(logits: Tensor) -> Tensor:
    r"""Logits whose softmax is the Bernoulli distribution of each sigmoid output.

    .. math:: softmax([0, x] / \tau) = [1 - sigmoid(x / \tau), sigmoid(x / \tau)]

    Args:
        logits: Logits x of sigmoids, (N, C) or (N, C, H, W).

    Returns:
        Logits [0, x] of N * C distributions over two classes, (N * C, 2) or
        (N * C, 2, H, W): any loss of this package compares them.

    Example:
        >>> bernoulli_logits(torch.tensor([[1.0, -2.0]]))
        tensor([[ 0.,  1.],
                [ 0., -2.]])
    """
    logits = logits.flatten(0, 1)
    return torch.stack([torch.zeros_like(logits), logits], 1)


def log_odds(logits: Tensor) -> Tensor:
    r"""Logits of sigmoids that equal the softmax of each class.

    .. math:: x_c = \log\frac{p_c}{1 - p_c} = t_c - \log\sum_{j \ne c} \exp t_j

    with p = softmax(t); of two classes, :math:`x_1 = t_1 - t_0`.

    Args:
        logits: Logits t of a softmax, (N, C) or (N, C, H, W) with C >= 2.

    Returns:
        A tensor of the same shape in float32 or better.

    Example:
        >>> log_odds(torch.tensor([[1.0, 4.0]]))
        tensor([[-3.,  3.]])
    """
    logits = at_least_float32(logits)
    # The largest logit apart: 1 - p of its class is the sum of the others, while the
    # difference would round to 0. All other classes have p <= 1/2.
    is_top = torch.zeros_like(logits, dtype=torch.bool)
    is_top.scatter_(1, logits.argmax(1, keepdim=True), True)
    rest = logits.masked_fill(is_top, EXCLUDED).logsumexp(1, keepdim=True)
    log_p = logits.log_softmax(1)
    return torch.where(is_top, logits - rest, log_p - torch.log1p(-log_p.exp()))
