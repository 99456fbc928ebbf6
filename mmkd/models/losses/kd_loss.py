"""Knowledge distillation (KD), per sample or per pixel."""

from torch import Tensor

from mmkd.registry import MODELS

from .logit_loss import LogitLoss, mean_over_counted


@MODELS.register_module()
class KDLoss(LogitLoss):
    r"""Divergence between the softened class distributions of teacher and student.

    With :math:`p = softmax(t / \tau)` and :math:`q = softmax(s / \tau)` over the
    classes, the mean over the M samples (N, C) or counted pixels (N, C, H, W) of

    .. math:: L = \frac{w}{M} \sum_m \tau^2 D(p_m, q_m)

    * KD: the defaults, D = KL(p || q).
    * LSKD: ``standardize=True``, s and t replaced by their Z-scores.
    * BDD: ``divergence=dict(type='BalancedKL')``, D = a KL(p || q) + b KL(q || p).
    * both at once: the main recipe of mmkd.

    Standardising makes the loss blind to the scale of the student's logits, and its
    gradient goes with 1/std of them: a useful ``loss_weight`` (about std/tau) needs a
    warm-up, which the Distiller gives by default.

    Args: as of :class:`LogitLoss`.

    Reference:
        Hinton et al., Distilling the Knowledge in a Neural Network, 2015, section 2;
        Sun et al., Logit Standardization in Knowledge Distillation, CVPR 2024;
        Qi et al., Balance Divergence for Knowledge Distillation, arXiv 2501.07804.

    Example:
        >>> import torch
        >>> loss = KDLoss(standardize=True)
        >>> teacher = torch.tensor([[1.0, 4.0, 3.0, 2.0]])
        >>> loss(torch.tensor([[1.0, 2.8, 3.0, 2.0]]), teacher)
        tensor(0.0995)
    """

    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        target: Tensor | None,
        counted: Tensor | None,
    ) -> Tensor:
        """The mean divergence over the positions that count."""
        return mean_over_counted(self.diverge(student, teacher), counted)
