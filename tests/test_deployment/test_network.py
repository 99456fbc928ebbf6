import pytest
import torch
from mmengine.config import Config
from mmseg.structures import SegDataSample
from torch import nn

from mmkd.deployment.network import Deployable, check_exportable
from mmkd.errors import UserError

from .networks import blocks, segmentor

PREPROCESSORS = {
    'as_it_is': {},
    'bgr': dict(bgr_to_rgb=False),
    'not_normalized': dict(mean=None, std=None),
}
HEADS = {
    'psp': {},
    'align_corners': dict(align_corners=True),
    'one_class': dict(num_classes=2, out_channels=1, threshold=0.5),
}
SIZE = (45, 67)


def by_mmseg(network, images):
    """Labels and logits that mmseg gives on RGB images."""
    meta = dict(img_shape=SIZE, pad_shape=SIZE, ori_shape=SIZE)
    results = network.test_step(
        dict(
            inputs=[image.permute(2, 0, 1).flip(0) for image in images],  # BGR
            data_samples=[SegDataSample(metainfo=meta) for _ in images],
        )
    )
    labels = torch.cat([result.pred_sem_seg.data for result in results])
    return labels, torch.stack([result.seg_logits.data for result in results])


@pytest.mark.parametrize(
    ('preprocessor', 'head'),
    [(p, {}) for p in PREPROCESSORS.values()] + [({}, h) for h in HEADS.values()],
    ids=[*PREPROCESSORS, *HEADS],
)
def test_gives_what_mmseg_gives(preprocessor, head):
    network = segmentor(preprocessor, **head)
    images = blocks(2, SIZE)
    expected, expected_logits = by_mmseg(network, images)
    labels, logits = Deployable(network)(images)
    assert labels.dtype == torch.uint8
    torch.testing.assert_close(logits, expected_logits, rtol=1e-4, atol=1e-4)
    assert (labels == expected).float().mean() > 0.999
    assert len(labels.unique()) > 1


def test_leaves_the_network_as_it_is():
    network = segmentor()
    before = str(network)
    deployable = Deployable(network)
    assert str(network) == before
    assert not hasattr(deployable.network, 'auxiliary_head')


def test_a_sliding_window_is_refused():
    network = segmentor()
    network.test_cfg = Config(dict(mode='slide', stride=(8, 8), crop_size=(16, 16)))
    with pytest.raises(UserError, match=r'^model.test_cfg.mode: .*=whole$'):
        check_exportable(network)


def test_padding_is_refused():
    network = segmentor(dict(test_cfg=dict(size_divisor=32)))
    with pytest.raises(UserError, match=r'^model.data_preprocessor.test_cfg: .*=None$'):
        check_exportable(network)


def test_other_networks_are_refused():
    with pytest.raises(UserError, match=r'^model: .* not a Linear'):
        check_exportable(nn.Linear(1, 1))
