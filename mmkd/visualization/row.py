"""What networks make of one image."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Row:
    """One image of a panel: its pixels, its label and what networks make of it.

    Args:
        image: (H, W, 3), RGB, 8 bits.
        label: (H, W), the class of each pixel.
        predictions: (H, W), the classes that each network gives, by its name.
        kl: (H, W), KL(teacher || network) in nats, by the network's name. Default:
            of none.
        ignore_index: Label of the pixels that do not count. Default 255.

    Example:
        >>> label = np.array([[0, 1], [1, 255]])
        >>> image = np.zeros((2, 2, 3), np.uint8)
        >>> row = Row(image, label, dict(small=label * 0, large=label))
        >>> round(row.accuracy('small'), 4), row.accuracy('large')
        (0.3333, 1.0)
    """

    image: np.ndarray
    label: np.ndarray
    predictions: Mapping[str, np.ndarray]
    kl: Mapping[str, np.ndarray] = field(default_factory=dict)
    ignore_index: int = 255

    @property
    def counted(self) -> np.ndarray:
        """(H, W), which pixels count."""
        return self.label != self.ignore_index

    def accuracy(self, network: str) -> float:
        """Share of the counted pixels whose class a network gives; NaN of none."""
        return self._mean(self.predictions[network] == self.label)

    def agreement(self, first: str, second: str) -> float:
        """Share of the counted pixels to which two networks give the same class."""
        return self._mean(self.predictions[first] == self.predictions[second])

    def mean_kl(self, network: str) -> float:
        """Mean of KL(teacher || network) over the counted pixels, in nats."""
        return self._mean(self.kl[network])

    def _mean(self, values: np.ndarray) -> float:
        counted = values[self.counted]
        return float(counted.mean(dtype=float)) if counted.size else float('nan')
