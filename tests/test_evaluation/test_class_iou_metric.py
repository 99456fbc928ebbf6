import math

import pytest
import torch
from mmseg.evaluation import IoUMetric

from mmkd.evaluation import ClassIoUMetric
from mmkd.registry import METRICS

CLASSES = ('road', 'traffic sign', 'sky')
# Six pixels are valid. Intersection and union: road 2, 4; sign 2, 4; sky none.
LABEL = [[0, 0, 0, 1], [1, 1, 255, 255]]
PREDICTED = [[0, 0, 1, 1], [1, 0, 2, 0]]


def evaluate(metric, images=1):
    metric.dataset_meta = dict(classes=CLASSES)
    for _ in range(images):
        label, predicted = (torch.tensor([x]) for x in (LABEL, PREDICTED))
        sample = dict(pred_sem_seg=dict(data=predicted), gt_sem_seg=dict(data=label))
        metric.process({}, [sample])
    return metric.evaluate(size=images)


@pytest.mark.parametrize('images', [1, 3])
def test_classes_after_the_metrics_of_mmseg(images):
    own, stock = evaluate(ClassIoUMetric(), images), evaluate(IoUMetric(), images)
    assert list(own)[: len(stock)] == list(stock)
    assert {key: own[key] for key in stock} == stock
    assert own['IoU/road'] == own['IoU/traffic sign'] == 50.0
    assert math.isnan(own['IoU/sky'])
    assert own.keys() - stock.keys() == {f'IoU/{name}' for name in CLASSES}


def test_mean_over_classes_is_miou():
    metrics = evaluate(ClassIoUMetric(nan_to_num=0))
    assert metrics['IoU/sky'] == 0.0
    values = [metrics[f'IoU/{name}'] for name in CLASSES]
    assert metrics['mIoU'] == pytest.approx(sum(values) / 3, abs=0.01)


def test_other_metrics_alone():
    metrics = evaluate(ClassIoUMetric(iou_metrics=['mDice']))
    assert metrics['IoU/road'] == 50.0
    assert 'mIoU' not in metrics


def test_predictions_only(tmp_path):
    metric = ClassIoUMetric(format_only=True, output_dir=str(tmp_path))
    metric.dataset_meta = dict(classes=CLASSES)
    assert metric.compute_metrics([]) == {}


def test_registered():
    metric = METRICS.build(dict(type='mmkd.ClassIoUMetric', iou_metrics=['mIoU']))
    assert isinstance(metric, ClassIoUMetric)
