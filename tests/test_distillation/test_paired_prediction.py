"""Predictions with ``compares`` contain the logits of both networks."""

import copy

import pytest
import torch
from mmseg.models.decode_heads import PSPHead
from torch.nn.functional import interpolate

from mmkd.distillation.tap_output import logits_of
from mmkd.distillation.teacher_choice import TeacherTap
from mmkd.evaluation import FidelityMetric
from tests.conftest import build, build_distiller, random_batch


def make(config):
    torch.manual_seed(0)
    return build_distiller(config).eval()


def predict(distiller, batch, compares=True):
    distiller.compares = compares
    with torch.no_grad():
        return distiller.val_step(copy.deepcopy(batch))


def test_maps_at_the_labels_size(distiller_config):
    distiller = make(distiller_config)
    batch = random_batch(3)
    alone, both = (predict(distiller, batch, compares) for compares in (False, True))
    theirs = distiller.teacher.predict(
        **distiller.data_preprocessor(copy.deepcopy(batch), False)
    )
    assert 'teacher_logits' not in alone[0]
    for before, after, teacher in zip(alone, both, theirs, strict=True):
        logits = before.seg_logits.data
        assert logits.shape[1:] == before.gt_sem_seg.data.shape[1:]
        assert torch.equal(after.pred_sem_seg.data, before.pred_sem_seg.data)
        assert torch.equal(after.seg_logits.data, logits)
        assert torch.equal(after.student_logits, logits)
        assert torch.equal(after.teacher_logits, teacher.seg_logits.data)
        assert not torch.equal(after.teacher_logits, logits)


def test_vectors_of_the_taps(classifiers):
    from mmpretrain.structures import DataSample

    distiller = make(classifiers)
    torch.manual_seed(1)
    inputs = torch.rand(3, 3, 32, 32)
    samples = [DataSample().set_gt_label(label) for label in (0, 3, 6)]
    batch = dict(inputs=inputs, data_samples=samples)
    alone, both = (predict(distiller, batch, compares) for compares in (False, True))
    with torch.no_grad():
        expected = distiller.student(inputs), distiller.teacher.model(inputs)
    for index, (before, after) in enumerate(zip(alone, both, strict=True)):
        assert torch.equal(after.pred_score, before.pred_score)
        assert torch.equal(after.student_logits, expected[0][index])
        assert torch.equal(after.teacher_logits, expected[1][index])
    metric = FidelityMetric()
    metric.process(batch, [sample.to_dict() for sample in both])
    found = metric.evaluate(3)
    assert 0 < found['fidelity/forward_kl'] < 10
    assert -1 < found['fidelity/rank_correlation'] < 1


def test_without_labels_the_student_predicts_alone(distiller_config):
    distiller = make(distiller_config)
    distiller.compares = True
    with torch.no_grad():
        (sample,) = distiller.predict(torch.rand(1, 3, 32, 32))
    assert 'teacher_logits' not in sample


def test_one_channel_is_compared_as_two_classes(distiller_config, tmp_path):
    """Agreement is that of the thresholded sigmoids."""
    sigmoid = dict(type='CrossEntropyLoss', use_sigmoid=True)
    head = dict(num_classes=2, out_channels=1, threshold=0.5, loss_decode=sigmoid)
    teacher = distiller_config['teacher']['model']
    for config in (distiller_config['model'], teacher):
        config['decode_head'].update(head)
    torch.manual_seed(7)
    torch.save(build(teacher).state_dict(), tmp_path / 'teacher.pth')
    distiller_config['teacher']['checkpoint'] = str(tmp_path / 'teacher.pth')
    distiller = make(distiller_config)
    batch = random_batch(3, classes=2)
    samples = predict(distiller, batch)
    for sample in samples:
        logits, stored = sample.student_logits, sample.seg_logits.data
        torch.testing.assert_close(logits.softmax(0), torch.cat([1 - stored, stored]))
        assert torch.equal(logits.argmax(0), sample.pred_sem_seg.data[0].long())
    metric = FidelityMetric()
    metric.process(batch, [sample.to_dict() for sample in samples])
    found = metric.evaluate(3)
    assert 0 < found['fidelity/agreement'] < 1
    assert found['fidelity/forward_kl'] > 0


class MaskFormerHead(PSPHead):
    """Head with five queries, named like mmseg's, which needs mmdet."""

    def forward(self, inputs):
        masks = super().forward(inputs)
        classes = 9 * torch.eye(5, 6).expand(len(masks), 5, 6)
        return [classes], [masks]

    def predict(self, inputs, batch_img_metas, test_cfg):
        scores = logits_of(self.forward(inputs)).exp()
        size = batch_img_metas[0]['img_shape']
        return interpolate(scores, size, mode='bilinear')


@pytest.mark.parametrize('options', [{}, dict(scale=1), dict(class_map={4: None})])
def test_mask_classifiers_are_compared_by_their_logits(distiller_config, options):
    """Not by their scores, and not by the logarithm of logits."""
    distiller_config['teacher'].update(options)
    distiller = make(distiller_config)
    distiller.map_classes()
    distiller.teacher.model.decode_head.__class__ = MaskFormerHead
    distiller.losses[0].teacher.taps = [
        TeacherTap('', 'decode_head', distiller.teacher)
    ]
    batch = random_batch(2)
    data = distiller.data_preprocessor(copy.deepcopy(batch), False)
    with torch.no_grad():
        output = distiller.teacher.model(data['inputs'], mode='tensor')
        scores = interpolate(logits_of(output).exp(), (32, 32), mode='bilinear')
    kept = 4 if 'class_map' in options else 5
    for sample, expected in zip(predict(distiller, batch), scores, strict=True):
        found = sample.teacher_logits[:kept].exp()
        torch.testing.assert_close(found, expected[:kept], rtol=1e-3, atol=1e-5)
        assert (sample.teacher_logits[kept:] < -1e30).all()
