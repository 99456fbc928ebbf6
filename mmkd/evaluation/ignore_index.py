"""Label that the metrics of an evaluator ignore."""

from collections.abc import Mapping

from mmengine.evaluator import Evaluator
from mmengine.registry import METRICS
from mmseg.evaluation import IoUMetric

from mmkd.registry import is_type


def ignored_by(evaluator: Evaluator | dict | list | None) -> int:
    """Return the ``ignore_index`` of an evaluator's metrics.

    With several metrics, that of an IoUMetric takes precedence.
    """
    metrics = getattr(evaluator, 'metrics', evaluator)
    metrics = metrics if isinstance(metrics, list | tuple) else [metrics]
    for metric in metrics:
        if is_type(metric, IoUMetric, METRICS):
            return metric.get('ignore_index', 255)
    for metric in metrics:
        values = (
            metric if isinstance(metric, Mapping) else getattr(metric, '__dict__', {})
        )
        if 'ignore_index' in values:
            return values['ignore_index']
    return 255
