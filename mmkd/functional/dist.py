"""Distillation from a stronger teacher (DIST)."""

from torch import Tensor

from .checks import check_weights
from .masking import masked_mean
from .standardize import prepare_logits, zscore_and_std


def dist_loss(
    student: Tensor,
    teacher: Tensor,
    beta: float = 1.0,
    gamma: float = 1.0,
    tau: float = 1.0,
    tau_teacher: float | None = None,
    standardize: bool = False,
    mask: Tensor | None = None,
    eps: float = 1e-8,
) -> Tensor:
    r"""Pearson correlation loss of predictions, over classes and over samples.

    With the teacher's :math:`p = softmax(t / \tau)`, the student's
    :math:`q = softmax(s / \tau)` and r the Pearson correlation with
    :math:`\epsilon` in its denominator,

    .. math:: r(a, b) = \frac{\sum_i (a_i - \bar a)(b_i - \bar b)}
        {\lVert a - \bar a \rVert \lVert b - \bar b \rVert + \epsilon},

    the loss is

    .. math:: L = \tau^2 \Big( \frac{\beta}{M} \sum_m (1 - r(p_m, q_m))
        + \frac{\gamma}{C} \sum_c (1 - r(p_{\cdot c}, q_{\cdot c})) \Big)

    over the M samples or valid pixels of the batch. The first term compares how the
    networks rank the classes within a sample, the second how they rank the samples
    within a class. A constant vector has correlation 0: its term is 1 and has no
    gradient.

    In the second term, :math:`\epsilon` switches off the classes that are absent from a
    batch: of a class that both networks consider unlikely at all positions, the norms
    are far below :math:`\sqrt\epsilon`, the correlation is near 0 and its gradient
    tiny. With :math:`\epsilon = 0`, such a class has the same weight as any other; of
    150 classes, most are absent.

    Args:
        student, teacher, tau, tau_teacher, standardize, mask: See
            :mod:`mmkd.functional`.
        beta: Weight of the relation between classes, >= 0. Default 1.
        gamma: Weight of the relation within classes, >= 0. Default 1. The paper uses
            beta = gamma = 1 and tau 1 on Cityscapes, 2, 2 and 4 on CIFAR-100.
        eps: :math:`\epsilon`, >= 0; 0 gives the correlation of the paper. Default 1e-8,
            as in the authors' code.

    Reference:
        Huang et al., Knowledge Distillation from A Stronger Teacher, NeurIPS 2022,
        section 4, equations 7 to 10; :math:`\epsilon` is from the authors' code.

    Example:
        >>> import torch
        >>> logits = torch.eye(3, 4)
        >>> dist_loss(logits, logits.flip(1))
        tensor(2.5833)
    """
    check_weights(beta=beta, gamma=gamma, eps=eps)
    student, teacher = prepare_logits(
        student, teacher, tau, tau_teacher, standardize, mask
    )
    q, p = (student / tau).softmax(1), (teacher / tau).softmax(1)
    between_classes = masked_mean(1 - _pearson(q, p, eps), mask)
    q, p = (x.transpose(0, 1).flatten(1) for x in (q, p))  # (C, M)
    if mask is not None:
        mask = mask.flatten()[None]
    within_classes = (1 - _pearson(q, p, eps, mask)).mean()
    if mask is not None:  # without a valid position the loss is 0
        within_classes = within_classes * mask.any()
    return tau**2 * (beta * between_classes + gamma * within_classes)


def _pearson(a: Tensor, b: Tensor, eps: float, mask: Tensor | None = None) -> Tensor:
    """Pearson correlation of valid entries along axis 1; 0 for constant vectors."""
    freedom: int | Tensor = max(a.shape[1] - 1, 1)
    if mask is not None:
        freedom = (mask.sum(1) - 1).clamp(min=1)
    (a, a_std), (b, b_std) = (
        zscore_and_std(x, dim=1, eps=0.0, mask=mask) for x in (a, b)
    )
    correlation = (a * b).sum(1) / freedom
    if not eps:
        return correlation
    norms = freedom * (a_std * b_std).squeeze(1)
    return correlation * norms / (norms + eps)
