"""Channel-wise distillation (CWD)."""

import torch
from torch import Tensor

from mmkd.functional.standardize import zscore
from mmkd.registry import MODELS

from .logit_loss import LogitLoss

# Its softmax is 0 at any temperature, and unlike -inf it leaves no NaN behind.
NOWHERE = -1e30


@MODELS.register_module()
class CWDLoss(LogitLoss):
    r"""Divergence between the spatial distributions of each channel; maps only.

    With :math:`p_{nc} = softmax(t_{nc} / \tau)` over the counted positions of channel c
    of image n, and q likewise of the student,

    .. math:: L = \frac{w \tau^2}{N C} \sum_{n,c} D(p_{nc}, q_{nc})

    Ignored pixels are in neither softmax. ``standardize`` takes mean and standard
    deviation along the positions. A 1x1 map has one distribution only: the loss is 0.

    Args: as of :class:`LogitLoss`.

    Raises:
        ValueError: if the logits are not maps (N, C, H, W).

    Reference:
        Shu et al., Channel-wise Knowledge Distillation for Dense Prediction, ICCV 2021,
        section 3.2, equations 3 and 4.

    Example:
        >>> import torch
        >>> maps = torch.arange(24.0).view(1, 2, 3, 4)
        >>> CWDLoss(tau=4.0)(maps, maps.flip(3))
        tensor(2.4568)
    """

    def forward(
        self, student: Tensor, teacher: Tensor, target: Tensor | None = None
    ) -> Tensor:
        """Returns the weighted loss of a batch; target is (N, H', W')."""
        if student.ndim != 4:
            raise ValueError(
                'CWDLoss compares maps (N, C, H, W), but the student gave '
                f'{tuple(student.shape)}: use KDLoss on vectors'
            )
        return super().forward(student, teacher, target)

    def standardized(self, logits: Tensor, counted: Tensor | None) -> Tensor:
        """Standardises along the counted positions of each channel; (N, C, H*W)."""
        return zscore(
            logits.flatten(2), dim=2, counted=None if counted is None else flat(counted)
        )

    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        target: Tensor | None,
        counted: Tensor | None,
    ) -> Tensor:
        """The mean over images and channels."""
        student, teacher = student.flatten(2), teacher.flatten(2)
        if counted is not None:
            student = torch.where(flat(counted), student, NOWHERE)
            teacher = torch.where(flat(counted), teacher, NOWHERE)
        return self.diverge(student, teacher, dim=2).mean()


def flat(counted: Tensor) -> Tensor:
    """(N, H, W) to (N, 1, H * W)."""
    return counted.flatten(1)[:, None]
