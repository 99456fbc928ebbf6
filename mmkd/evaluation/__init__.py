from mmkd import registry  # noqa: F401  first: it says which extra is missing

from .fidelity_metric import FidelityMetric

__all__ = ['FidelityMetric']
