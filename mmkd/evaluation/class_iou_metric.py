"""IoU metric that also gives the IoU of each class."""

from mmseg.evaluation import IoUMetric

from mmkd.registry import METRICS


@METRICS.register_module()
class ClassIoUMetric(IoUMetric):
    """mmseg's IoUMetric, with ``IoU/<class>`` of each class in percent.

    A class that is neither predicted nor in a label has the IoU NaN, as in mmseg's
    table, or ``nan_to_num``.
    """

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the metrics, the mean ones first, from each image's areas."""
        metrics = super().compute_metrics(results)
        if self.format_only:
            return metrics
        areas = [sum(area) for area in zip(*results, strict=True)]
        found = self.total_area_to_metrics(*areas, ['mIoU'], self.nan_to_num)
        percent = (100 * found['IoU']).round(2).tolist()
        names = self.dataset_meta['classes']
        classes = zip(names, percent, strict=True)
        return metrics | {f'IoU/{name}': value for name, value in classes}
