"""Intersection over union (IoU) of each class."""

from mmseg.evaluation import IoUMetric

from mmkd.registry import METRICS


@METRICS.register_module()
class ClassIoUMetric(IoUMetric):
    """IoUMetric of mmseg that also reports ``IoU/<class>`` in percent.

    The IoU of a class that occurs neither in predictions nor in labels is NaN, as in
    mmseg's table, or ``nan_to_num``.
    """

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute mean and per-class metrics from the areas of each image."""
        metrics = super().compute_metrics(results)
        if self.format_only:
            return metrics
        areas = [sum(area) for area in zip(*results, strict=True)]
        found = self.total_area_to_metrics(*areas, ['mIoU'], self.nan_to_num)
        classes = zip(self.dataset_meta['classes'], found['IoU'].tolist(), strict=True)
        return metrics | {f'IoU/{name}': round(100 * iou, 2) for name, iou in classes}
