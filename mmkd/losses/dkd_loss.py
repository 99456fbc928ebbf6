"""Decoupled knowledge distillation (DKD)."""

import torch
from torch import Tensor

from mmkd.functional.checks import check_weight
from mmkd.losses.divergences import halves
from mmkd.registry import MODELS

from .logit_loss import LogitLoss, hard_target, mean_over_counted

# Its softmax is 0 at any temperature, and unlike -inf it leaves no NaN behind.
NOWHERE = -1e30


@MODELS.register_module()
class DKDLoss(LogitLoss):
    r"""The target class against the rest, and the rest among themselves, apart.

    With p and q the softened distributions of teacher and student and c the label,

    .. math:: L = \frac{w}{M} \sum_m \tau^2 \left(
        \alpha D\big((p_c, 1 - p_c), (q_c, 1 - q_c)\big)
        + \beta D\big(\hat p, \hat q\big) \right),
        \qquad \hat p_i = \frac{p_i}{1 - p_c}, \ i \ne c

    over the M samples (N, C) or counted pixels (N, C, H, W). Plain KD would weight the
    second term (NCKD) with 1 - p_c, that is hardly at all where the teacher is sure.
    In log space: 1 - p_c is a logsumexp of the other logits, so that peaked logits
    give finite values and gradients.

    Args:
        alpha: Weight of the first term (TCKD), >= 0. Default 1.
        beta: Weight of the second (NCKD), >= 0. Default 8, the paper's for ResNet-32x4
            to ResNet-8x4; it used 2 to 8. The paper warms the loss up over 20 of 240
            epochs: ``schedule=dict(warmup=20, by_epoch=True)``.
        tau: Temperature, > 0. Default 4.
        kwargs: As of :class:`LogitLoss`.

    Raises:
        ValueError: for a negative weight, or without a hard target at each position.

    Reference:
        Zhao et al., Decoupled Knowledge Distillation, CVPR 2022, section 3.2,
        equation 7.

    Example:
        >>> loss = DKDLoss(beta=2.0)
        >>> teacher = torch.tensor([[1.0, 4.0, 3.0, 2.0]])
        >>> loss(teacher.flip(1), teacher, torch.tensor([1]))
        tensor(1.0535)
    """

    def __init__(
        self, alpha: float = 1.0, beta: float = 8.0, tau: float = 4.0, **kwargs: object
    ) -> None:
        super().__init__(tau=tau, **kwargs)
        check_weight(alpha, 'alpha')
        check_weight(beta, 'beta')
        self.alpha = alpha
        self.beta = beta

    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        target: Tensor | None,
        counted: Tensor | None,
    ) -> Tensor:
        """The mean over the positions that count."""
        label = hard_target(target, counted, 'DKDLoss')[:, None]
        own = torch.zeros_like(student, dtype=torch.bool).scatter(1, label, True)
        teacher = self.cooled(teacher)
        target_class = sum(
            half(two_way(student, own, tau), two_way(teacher, own, tau), tau)
            for half, tau in halves(self.divergence, self.tau)
        )
        others = (logits.masked_fill(own, NOWHERE) for logits in (student, teacher))
        other_classes = self.divergence(*others, self.tau)
        values = self.alpha * target_class + self.beta * other_classes
        return mean_over_counted(values, counted)


def two_way(logits: Tensor, own: Tensor, tau: float) -> Tensor:
    """Logits whose softmax at tau is (p_c, 1 - p_c); ``own`` marks class c."""
    label = torch.where(own, logits, 0).sum(1)
    rest = (logits.masked_fill(own, NOWHERE) / tau).logsumexp(1) * tau
    return torch.stack([label, rest], 1)
