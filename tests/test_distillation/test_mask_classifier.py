"""Networks that predict classes of masks, as Mask2Former, as student and teacher."""

import copy

import pytest
import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.decode_heads.san_head import SideAdapterCLIPHead
from mmseg.registry import MODELS
from torch import nn
from torch.testing import assert_close

from mmkd.errors import UserError
from mmkd.functional.mask_logits import log_scores
from tests.conftest import CLASSES, build, build_distiller, network, random_batch

from .test_unlabeled import make as make_unlabeled

QUERIES = 6


class TinyMaskHead(BaseDecodeHead):
    """Outputs and is called as Mask2Former's head, and predicts as SAN's."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        del self.conv_seg
        self.init_cfg = None
        self.scores = nn.Linear(self.in_channels, QUERIES * (CLASSES + 1))
        self.masks = nn.Conv2d(self.in_channels, QUERIES, 1)

    def forward(self, features, data_samples):
        assert len(data_samples) == 2
        maps = self._transform_inputs(features)
        scores = self.scores(maps.mean((2, 3))).unflatten(1, (QUERIES, -1))
        return [scores], [self.masks(maps)]

    def loss(self, features, data_samples, train_cfg):
        scores, masks = self(features, data_samples)
        return dict(loss_mask=scores[-1].square().mean() + masks[-1].square().mean())

    def predict(self, features, metas, test_cfg):
        scores, masks = self(features, metas)
        last = [masks[-1], scores[-1]]
        return SideAdapterCLIPHead.predict_by_feat(self, last, metas)


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setitem(MODELS.module_dict, 'TinyMaskHead', TinyMaskHead)


@pytest.fixture
def mask_classifier(tmp_path):
    """A teacher's config, with saved weights."""
    config = network()
    head = config['decode_head']
    del head['pool_scales']
    head['type'] = 'TinyMaskHead'
    del config['auxiliary_head']
    torch.manual_seed(0)
    model = build(config)
    for layer in (model.decode_head.scores, model.decode_head.masks):
        nn.init.normal_(layer.weight)
    torch.save(model.state_dict(), tmp_path / 'masks.pth')
    return dict(model=config, checkpoint=str(tmp_path / 'masks.pth'))


@pytest.mark.parametrize('role', ['student', 'teacher'])
def test_distills(distiller_config, mask_classifier, role):
    if role == 'teacher':
        distiller_config['teacher'] = mask_classifier
    else:
        distiller_config['model'] = mask_classifier['model']
    distiller = make_unlabeled(distiller_config)
    distiller.unlabeled.batch = random_batch()
    losses = distiller(**distiller.data_preprocessor(random_batch(), True), mode='loss')
    losses['distill.loss_kd'].backward(retain_graph=True)
    losses['unlabeled.loss_kd'].backward()
    assert losses['distill.loss_kd'] > 0
    assert losses['unlabeled.loss_kd'] > 0
    assert any(p.grad is not None and p.grad.any() for p in distiller.parameters())
    (loss,) = distiller.losses
    tap = loss.student_tap if role == 'student' else loss.teacher_taps[0]
    assert tap == 'decode_head'


def test_predictions_of_both(distiller_config, mask_classifier):
    """Scores are compared as logits: their softmax is their share of the sum."""
    distiller_config['teacher'] = mask_classifier
    distiller = build_distiller(distiller_config).eval()
    batch = random_batch()
    alone = distiller.teacher.predict(
        **distiller.data_preprocessor(copy.deepcopy(batch), False)
    )
    scores = [sample.seg_logits.data.clone() for sample in alone]
    distiller.compares = True
    with torch.no_grad():
        both = distiller.val_step(copy.deepcopy(batch))
    for sample, score in zip(both, scores, strict=True):
        expected = log_scores(score, dim=0).softmax(0)
        assert_close(sample.teacher_logits.softmax(0), expected)


def test_a_depth_estimator_is_refused(distiller_config):
    config = distiller_config['model']
    config['type'] = 'DepthEstimator'
    message = r'^distill_losses\.loss_kd\.student: the network is a DepthEstimator'
    with pytest.raises(UserError, match=message):
        build_distiller(distiller_config)
