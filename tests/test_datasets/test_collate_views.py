import pytest
import torch
from mmpretrain.structures import DataSample

from mmkd.datasets import collate_views
from mmkd.errors import UserError


def test_order_and_labels():
    """First all first views, then all second ones; each has a label of its own."""
    items = [
        dict(
            inputs=[torch.full((1, 2, 2), 10 * view + image) for view in (0, 1, 2)],
            data_samples=DataSample().set_gt_label(image),
        )
        for image in (3, 4)
    ]
    batch = collate_views(items)
    assert [int(x.max()) for x in batch['inputs']] == [3, 4, 13, 14, 23, 24]
    samples = batch['data_samples']
    assert [int(sample.gt_label) for sample in samples] == [3, 4, 3, 4, 3, 4]
    samples[0].set_gt_label(9)
    assert int(samples[2].gt_label) == 3


def test_refuses_single_images():
    items = [dict(inputs=torch.zeros(3, 2, 2), data_samples=DataSample())]
    with pytest.raises(UserError, match='add MultiView to the pipeline'):
        collate_views(items)
