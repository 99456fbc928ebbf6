"""Similarities between the positions of a feature map."""

from typing import Any

from torch import Tensor

from mmkd.functional import similarity_loss
from mmkd.functional.checks import check_temperatures
from mmkd.registry import MODELS

from .feature_loss import FeatureLoss


@MODELS.register_module()
class SimilarityLoss(FeatureLoss):
    """:func:`mmkd.functional.similarity_loss` as a module; requires maps or tokens.

    Args:
        side, temperature: See :func:`mmkd.functional.similarity_loss`. Default 16 and
            None.
        kwargs: Arguments of :class:`FeatureLoss`, except ``adapter``.

    Example:
        >>> import torch
        >>> maps = torch.eye(2).view(1, 2, 1, 2)
        >>> SimilarityLoss()(maps, maps * 0 + 1)
        tensor(0.5000)
    """

    same_channels = False

    def __init__(
        self, side: int = 16, temperature: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_temperatures(temperature=temperature)
        if not isinstance(side, int) or side < 1:
            raise ValueError(f'side must be an integer >= 1, but is {side!r}')
        self.side = side
        self.temperature = temperature

    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        target: Tensor | None,
        mask: Tensor | None,
    ) -> Tensor:
        """Return the mean over images and pairs of cells."""
        return similarity_loss(student, teacher, self.side, self.temperature, mask)
