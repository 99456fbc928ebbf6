"""Loss weight from the gradients of both losses at the student's tap."""

from typing import Any

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn

from mmkd.functional.checks import check_number


class AutoWeight(nn.Module):
    r"""Weight that gives a distillation loss a share of the gradient.

    .. math::
        w = \frac{b}{1 - b} \cdot
        \frac{\sum_i \lVert \partial L_{task,i} / \partial s_i \rVert}
        {\sum_i \lVert \partial L_i / \partial s_i \rVert}

    with :math:`s_i` the output of the student's tap in iteration i, :math:`L_{task,i}`
    the sum of the student's own losses, :math:`L_i` the unweighted distillation loss,
    b the balance, and norms over all elements of the batch, averaged over the
    processes. The sums run over the iterations so far, up to a number; then the weight
    is fixed. Thus :math:`w \lVert L_i' \rVert` is the share b of the sum of both norms.
    An iteration in which a norm is 0 or not finite is not measured.

    The sums are the module's state, which checkpoints contain.

    Args:
        balance: The share b of the distillation, above 0 and below 1. Default 0.5: both
            gradients have the same norm.
        iterations: Number of iterations to measure, at least 1. Default 20.

    Raises:
        ValueError: for an argument out of range.

    Example:
        >>> tap = torch.ones(1, 1, 1, 1, requires_grad=True)
        >>> weight = AutoWeight(balance=0.5)
        >>> weight.measure(3 * tap.sum(), 2 * tap.sum(), tap)
        True
        >>> weight.value
        1.5
    """

    def __init__(self, balance: float = 0.5, iterations: int = 20) -> None:
        super().__init__()
        check_number('balance', balance)
        if not 0 < balance < 1:
            raise ValueError(f'balance must be above 0 and below 1, but is {balance}')
        if not isinstance(iterations, int) or iterations < 1:
            raise ValueError(
                f'balance_iterations must be an int >= 1, but is {iterations!r}'
            )
        self.odds = balance / (1 - balance)
        self.iterations = iterations
        self.task = self.distillation = 0.0  # sums of gradient norms
        self.measured = 0

    @property
    def fixed(self) -> bool:
        """True if the weight does not change any more."""
        return self.measured >= self.iterations

    @property
    def value(self) -> float:
        """The current weight; 1 before the first measured iteration."""
        if not self.measured:
            return 1.0
        return self.odds * self.task / self.distillation

    def measure(self, task: Tensor, loss: Tensor, tap: Tensor) -> bool:
        """Add an iteration, which keeps the graph of both losses.

        Args:
            task: Sum of the student's own losses.
            loss: Unweighted distillation loss.
            tap: Output of the student's tap.

        Returns:
            False if the gradient of a loss does not reach the tap.
        """
        norms = [gradient_norm(each, tap) for each in (task, loss)]
        if norms[0] is None or norms[1] is None:
            return False
        both = torch.stack([norms[0], norms[1]])
        all_reduce(both, op='mean')
        ours, theirs = both.tolist()
        if 0 < ours < float('inf') and 0 < theirs < float('inf'):
            self.task += ours
            self.distillation += theirs
            self.measured += 1
        return True

    def get_extra_state(self) -> dict[str, float]:
        """Return the state for a checkpoint."""
        return dict(
            task=self.task, distillation=self.distillation, measured=self.measured
        )

    def set_extra_state(self, state: Any) -> None:
        """Restore the state of a checkpoint."""
        vars(self).update(state)


def gradient_norm(loss: Tensor, tap: Tensor) -> Tensor | None:
    """Return the norm of a loss's gradient at a tap; None if it does not reach it."""
    if not loss.requires_grad:
        return None
    # A mean over positions has gradients too small for half precision.
    half = tap.dtype in (torch.float16, torch.bfloat16)
    scale = tap[:, :1].numel() if half and tap.ndim > 1 else 1
    (gradient,) = torch.autograd.grad(
        scale * loss, tap, retain_graph=True, allow_unused=True
    )
    if gradient is None:
        return None
    return torch.linalg.vector_norm(gradient.float()) / scale
