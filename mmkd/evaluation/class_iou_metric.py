"""IoU metric that also gives the IoU of each class."""

from mmseg.evaluation import IoUMetric

from mmkd.registry import METRICS


@METRICS.register_module()
class ClassIoUMetric(IoUMetric):
    """IoUMetric with the IoU of each class."""
