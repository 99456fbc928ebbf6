"""Distillation from a stronger teacher (DIST)."""

from torch import Tensor

from mmkd.functional.checks import check_weight
from mmkd.functional.standardize import zscore
from mmkd.registry import MODELS

from .logit_loss import LogitLoss, mean_over_counted


@MODELS.register_module()
class DISTLoss(LogitLoss):
    r"""Pearson correlation of predictions, over the classes and over the samples.

    With :math:`p = softmax(t / \tau)`, :math:`q = softmax(s / \tau)` and r Pearson's
    correlation,

    .. math:: L = w \tau^2 \Big( \frac{\beta}{M} \sum_m (1 - r(p_m, q_m))
        + \frac{\gamma}{C} \sum_c (1 - r(p_{\cdot c}, q_{\cdot c})) \Big)

    over the M samples (N, C) or counted pixels (N, C, H, W) of the batch: the teacher's
    ranking of the classes within a sample, and of the samples within a class. A
    constant vector correlates with nothing: its term is 1, without a gradient.

    It has no divergence, and so takes none.

    Args:
        beta: Weight of the relation between classes, >= 0. Default 1.
        gamma: Weight of the relation within classes, >= 0. Default 1. The paper has
            beta = gamma = 1 and tau 1 on Cityscapes, 2, 2 and 4 on CIFAR-100.
        tau: Temperature, > 0. Default 1.
        kwargs: As of :class:`LogitLoss`, without ``divergence``.

    Raises:
        ValueError: for a negative weight.
        TypeError: for a ``divergence``.

    Reference:
        Huang et al., Knowledge Distillation from A Stronger Teacher, NeurIPS 2022,
        section 4, equations 7 to 10.

    Example:
        >>> import torch
        >>> logits = torch.eye(3, 4)
        >>> DISTLoss()(logits, logits.flip(1))
        tensor(2.5833)
    """

    def __init__(
        self, beta: float = 1.0, gamma: float = 1.0, tau: float = 1.0, **kwargs: object
    ) -> None:
        if 'divergence' in kwargs:
            raise TypeError('DISTLoss correlates and holds no KL: remove divergence')
        super().__init__(tau=tau, **kwargs)
        check_weight(beta, 'beta')
        check_weight(gamma, 'gamma')
        self.beta = beta
        self.gamma = gamma

    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        target: Tensor | None,
        counted: Tensor | None,
    ) -> Tensor:
        """The weighted sum of the two relations."""
        student = (student / self.tau).softmax(1)
        teacher = (teacher / self.tau_teacher).softmax(1)
        between = mean_over_counted(1 - pearson(student, teacher, 1), counted)
        # (C, M): what counts is the same for each class.
        student, teacher = (x.transpose(0, 1).flatten(1) for x in (student, teacher))
        if counted is not None:
            counted = counted.flatten()[None]
        within = (1 - pearson(student, teacher, 1, counted)).mean()
        if counted is not None:  # where nothing counts there is no relation
            within = within * counted.any()
        return self.tau**2 * (self.beta * between + self.gamma * within)


def pearson(a: Tensor, b: Tensor, dim: int, counted: Tensor | None = None) -> Tensor:
    """Correlation along an axis, of the entries that count; 0 of a constant."""
    a, b = (zscore(x, dim, eps=0.0, counted=counted) for x in (a, b))
    if counted is None:
        return (a * b).sum(dim) / max(a.shape[dim] - 1, 1)
    return (a * b).sum(dim) / (counted.sum(dim) - 1).clamp(min=1)
