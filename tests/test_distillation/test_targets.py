import torch
from mmengine.structures import BaseDataElement, PixelData

from mmkd.distillation.targets import stack_targets


def samples(**fields):
    """Two samples, each with its half of every field."""
    return [
        BaseDataElement(**{name: values[i] for name, values in fields.items()})
        for i in range(2)
    ]


def test_maps():
    maps = torch.arange(24).view(2, 1, 3, 4)
    target = stack_targets(samples(gt_sem_seg=[PixelData(data=m) for m in maps]))
    assert torch.equal(target, maps[:, 0])


def test_labels():
    labels = torch.tensor([[3], [1]])
    assert torch.equal(stack_targets(samples(gt_label=labels)), torch.tensor([3, 1]))


def test_soft_labels_go_before_hard_ones():
    """Mixup leaves the label of one of the two images where it was."""
    scores = torch.tensor([[0.3, 0.7], [1.0, 0.0]])
    target = stack_targets(samples(gt_label=torch.tensor([[1], [0]]), gt_score=scores))
    assert torch.equal(target, scores)


def test_none():
    assert stack_targets(samples()) is None
