from mmkd import registry  # noqa: F401  first: it names a missing extra

from .class_iou_metric import ClassIoUMetric
from .fidelity_metric import FidelityMetric

__all__ = ['ClassIoUMetric', 'FidelityMetric']
