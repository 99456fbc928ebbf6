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
        classes = zip(self.dataset_meta['classes'], found['IoU'].tolist(), strict=True)
        return metrics | {f'IoU/{name}': round(100 * iou, 2) for name, iou in classes}
