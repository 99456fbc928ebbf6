"""Deep supervision: logits of the teacher for intermediate features of the student."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mmkd.registry import MODELS

from .build_part import build_part
from .feature_loss import FeatureLoss
from .logit_loss import LogitLoss
from .schedule import Progress

# Keys that select pixels, which the logit loss does not do.
OWN_KEYS = {'where', 'edge_width', 'ignore_index'}


@MODELS.register_module()
class DeepSupervisionLoss(FeatureLoss):
    r"""Logit loss between the teacher's logits and a classifier on student features.

    .. math:: L = L_{logit}(A(s), t)

    with s the features of the student, A the adapter, here a classifier, and t the
    logits of the teacher. Unless named otherwise, the tap of the student is its
    backbone, and that of the teacher the module that outputs its logits.

    The classes are the teacher's own, whatever its ``class_map``, so that the logit
    loss can use labels only if these number the same classes.

    Args:
        loss: Config of a :class:`LogitLoss` without ``resolution`` and ``where``, since
            the features have one resolution, and without ``ignore_index``, which is
            this loss's. Default ``dict(type='KDLoss')``.
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
        loss: dict | str | LogitLoss | None = None,
        adapter: str | dict = 'conv',
        **kwargs: Any,
    ) -> None:
        super().__init__(adapter=adapter, **kwargs)
        loss = dict(type='KDLoss') if loss is None else loss
        if isinstance(loss, Mapping):
            for key in OWN_KEYS & loss.keys():
                raise ValueError(
                    f'loss.{key}: the logit loss receives the pixels that are compared '
                    'and their labels; move this key to the DeepSupervisionLoss'
                )
            if 'resolution' in loss:
                raise ValueError(
                    'loss.resolution: features are compared at their own resolution; '
                    'remove this key'
                )
            loss = dict(loss, ignore_index=self.ignore_index)
        kind: Any = LogitLoss  # an abstract class, which mypy does not accept
        self.loss: LogitLoss = build_part('loss', loss, kind, 'KDLoss')

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
