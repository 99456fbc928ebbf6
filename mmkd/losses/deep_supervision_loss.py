"""Deep supervision: logits of the teacher for intermediate features of the student."""

from typing import Any

from torch import Tensor

from mmkd.registry import MODELS, qualified

from .distillation_loss import DistillationLoss
from .feature_loss import FeatureLoss
from .schedule import Progress


@MODELS.register_module()
class DeepSupervisionLoss(FeatureLoss):
    r"""Logit loss between the teacher's logits and a classifier on student features.

    .. math:: L = L_{logit}(A(s), t)

    with s the features of the student, A the adapter, here a classifier, and t the
    logits of the teacher. Unless named otherwise, the tap of the student is its
    backbone, and that of the teacher the module that outputs its logits.

    Args:
        loss: Config of any logit loss. Default ``dict(type='KDLoss')``.
        adapter: See :class:`Adapter`. Default ``'conv'``, a linear classifier.
        kwargs: Arguments of :class:`FeatureLoss`.

    Reference:
        Lee et al., Deeply-Supervised Nets, AISTATS 2015, with the teacher's logits as
        labels.

    Example:
        >>> import torch
        >>> loss = DeepSupervisionLoss(dict(type='DISTLoss'))
        >>> features, logits = torch.zeros(1, 8, 4, 4), torch.zeros(1, 3, 2, 2)
        >>> loss.build_adapter(features, logits)
        >>> loss(features, logits).shape
        torch.Size([])
    """

    teacher_tap = ''

    def __init__(
        self,
        loss: dict | None = None,
        adapter: str | dict = 'conv',
        **kwargs: Any,
    ) -> None:
        super().__init__(adapter=adapter, **kwargs)
        config = dict(loss or dict(type='KDLoss'), ignore_index=self.ignore_index)
        self.loss: DistillationLoss = MODELS.build(qualified(config))
        if self.loss.where != 'all':
            raise ValueError(
                'the target of the logit loss is already resized: move where and '
                'edge_width from loss to the DeepSupervisionLoss'
            )

    @property
    def needs_labels(self) -> bool:
        """True if the logit loss needs labels, or ``where`` does."""
        return super().needs_labels or self.loss.needs_labels

    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        target: Tensor | None,
        mask: Tensor | None,
    ) -> Tensor:
        """Return the logit loss of the classifier's and the teacher's logits."""
        self.loss.progress = self.progress
        self.loss.ignore_index = self.ignore_index
        return self.loss(student, teacher, target)

    def check_run(self, progress: Progress) -> None:
        """Raise a ValueError if an argument is invalid for the length of the run."""
        self.loss.check_run(progress)

    def logged(self) -> dict[str, Tensor]:
        """Return scalars of the logit loss."""
        return self.loss.logged()
