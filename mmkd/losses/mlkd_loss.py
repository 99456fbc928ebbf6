"""Multi-level logit distillation (MLKD)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmkd.functional import standardize
from mmkd.functional.checks import check_temperature, check_weight
from mmkd.functional.relations import gram_distance, grid_means
from mmkd.registry import MODELS

from .logit_loss import LogitLoss, mean_over_counted

GRID = 8  # cells along a side of a map: 64 samples an image, the paper's batch


@MODELS.register_module()
class MLKDLoss(LogitLoss):
    r"""Predictions compared one by one, between samples, and between classes.

    With P and Q the (B, C) softened distributions of teacher and student, summed over
    several temperatures,

    .. math:: L = w \sum_{\tau} \Big( \frac{1}{B} \sum_m \tau^2 D(p_m, q_m)
        + \frac{\beta}{B} \| P P^T - Q Q^T \|^2
        + \frac{\gamma}{C} \| P^T P - Q^T Q \|^2 \Big)

    A sample is a vector of (N, C). On maps the first term is the mean over the counted
    pixels; the other two are taken in each image, whose samples are the cells of a grid
    of at most 8 x 8, the mean distribution of a cell's counted pixels: matrices of
    64 x 64 and C x C, whatever the size of the map. ``standardize`` acts on the first
    term alone, as in LSKD.

    Of two views of each image (:func:`mmkd.datasets.collate_views`; vectors only) the
    losses are summed. On the weakly augmented one they count the half of the samples
    of which the teacher is less sure, and of the classes the half it expects less, as
    the released code means to: it multiplies these masks into a mean, and three terms
    that it has for the strong view are of the weak one, or never used.

    Args:
        tau: The first temperature, > 0. Default 4, or 2 where standardised, the
            papers'.
        taus: The others. Default 3, 5, 2 and 6, the paper's.
        beta: Weight of the relation between samples, >= 0. Default 1.
        gamma: Weight of the relation between classes, >= 0. Default 1.
        views: 2 where a batch holds a weak view of each image and then the strong ones.
            Default 1: an ordinary batch, without masks.
        kwargs: As of :class:`LogitLoss`. The quotient of ``tau_teacher`` and ``tau``
            holds at each temperature; a divergence's ``tau_reverse`` stays.

    Raises:
        ValueError: for an argument out of range, or a batch that is not of ``views``.

    Reference:
        Jin et al., Multi-Level Logit Distillation, CVPR 2023, section 3.

    Example:
        >>> teacher = torch.tensor([[1.0, 4.0, 3.0], [2.0, 1.0, 0.0]])
        >>> MLKDLoss()(teacher.flip(1), teacher)
        tensor(5.9181)
    """

    def __init__(
        self,
        tau: float | None = None,
        taus: Sequence[float] = (3.0, 5.0, 2.0, 6.0),
        beta: float = 1.0,
        gamma: float = 1.0,
        views: int = 1,
        standardize: bool = False,
        **kwargs: object,
    ) -> None:
        if tau is None:
            tau = 2.0 if standardize else 4.0
        super().__init__(tau=tau, standardize=standardize, **kwargs)
        for each in taus:
            check_temperature(each, 'taus')
        check_weight(beta, 'beta')
        check_weight(gamma, 'gamma')
        if views not in (1, 2):
            raise ValueError(f'views must be 1 or 2, but is {views}')
        self.taus = (tau, *taus)
        self.beta = beta
        self.gamma = gamma
        self.views = views

    def standardized(self, logits: Tensor, counted: Tensor | None) -> Tensor:
        """As they are: only the first term takes them standardised."""
        return logits

    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        target: Tensor | None,
        counted: Tensor | None,
    ) -> Tensor:
        """The sum over the views, of which only vectors may have two."""
        if self.views == 1:
            return self.levels(student, teacher, counted)
        paired = target is None or torch.equal(*target.tensor_split(2))
        if student.ndim != 2 or len(student) % 2 or not paired:
            raise ValueError(
                'views=2 needs vectors, a weak view of each image and then the strong '
                'ones: take MultiView and mmkd.collate_views, or views=1'
            )
        (weak, strong), (teacher, teacher_strong) = student.chunk(2), teacher.chunk(2)
        sure = teacher.softmax(1)
        samples, classes = (below_median(x) for x in (sure.amax(1), sure.sum(0)))
        return self.levels(weak, teacher, samples, classes) + self.levels(
            strong, teacher_strong
        )

    def levels(
        self,
        student: Tensor,
        teacher: Tensor,
        counted: Tensor | None = None,
        classes: Tensor | None = None,
    ) -> Tensor:
        """The three terms at each temperature, of what counts and of some classes."""
        one, other = student, teacher
        if self.standardize:
            one, other = standardize(student), standardize(teacher)
        other, teacher = self.cooled(other), self.cooled(teacher)
        total = student.new_zeros(())
        for tau in self.taus:
            alone = self.divergence(one, other, tau)
            q, samples = self.samples((student / tau).softmax(1), counted)
            p, _ = self.samples((teacher / tau).softmax(1), counted)
            groups = None if samples is None else samples.view(len(q), -1).any(1)
            between_samples = gram_distance(q, p, samples)
            between_classes = gram_distance(q.mT, p.mT, classes)
            total = total + mean_over_counted(alone, counted)
            total = total + self.beta * mean_over_counted(between_samples, groups)
            total = total + self.gamma * mean_over_counted(between_classes, groups)
        return total

    def samples(
        self, predictions: Tensor, counted: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """A (G, B, C) matrix of each group of samples, and which of them count."""
        if predictions.ndim == 2:  # the batch is the only group
            return predictions[None], counted
        return grid_means(predictions, counted, GRID)


def below_median(values: Tensor) -> Tensor:
    """Marks the lower half."""
    return values <= values.median()
