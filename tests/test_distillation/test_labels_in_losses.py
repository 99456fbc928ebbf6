"""Corrected teachers and losses on edges, in a distillation."""

import pytest
import torch

from mmkd.errors import UserError
from mmkd.functional import correct_teacher, label_edges
from mmkd.losses import KDLoss
from tests.conftest import CLASSES, build_distiller, network, random_batch

from .test_distiller import without_dropout
from .test_unlabeled import losses_of, make, without_labels

CORRECTION = dict(type='TeacherCorrection')
LOSSES = dict(
    loss_kd=dict(type='KDLoss', teacher_correction=CORRECTION),
    loss_edge=dict(type='KDLoss', where='edge', edge_width=1),
    loss_body=dict(type='CWDLoss', where='body', edge_width=1),
    loss_feature=dict(type='SimilarityLoss', where='edge'),
)


@pytest.fixture
def batch():
    """Two images whose labels are stripes, with ignored rows."""
    torch.manual_seed(0)
    batch = random_batch()
    for sample in batch['data_samples']:
        sample.gt_sem_seg.data[:, 4:] = torch.arange(32) // 7
    return batch


def test_losses_and_logs(distiller_config, batch):
    distiller_config['distill_losses'] = LOSSES
    distiller = without_dropout(build_distiller(distiller_config).train())
    losses = losses_of(distiller, batch)
    names = {name for name in losses if name.startswith('distill')}
    assert names == {*(f'distill.{name}' for name in LOSSES), 'distill.corrected_kd'}
    student, teacher = (
        distiller.recorded[f'{network}.decode_head.conv_seg']
        for network in ('student', 'teacher')
    )
    target = torch.cat([each.gt_sem_seg.data for each in batch['data_samples']])
    nearest = target[:, ::8, ::8]
    corrected, where = correct_teacher(teacher, nearest, mask=nearest != 255)
    expected = KDLoss()(student, corrected, nearest)
    torch.testing.assert_close(losses['distill.loss_kd'], expected)
    share = where.sum() / (nearest != 255).sum()
    torch.testing.assert_close(losses['distill.corrected_kd'], share)
    edges = target.where(label_edges(target, 1), 255)[:, ::8, ::8]
    expected = KDLoss()(student, teacher, edges)
    torch.testing.assert_close(losses['distill.loss_edge'], expected)
    assert losses['distill.loss_body'] > 0
    assert losses['distill.loss_feature'] > 0


def test_unlabeled_images(distiller_config, batch):
    """There the teacher is not corrected, and there are no edges."""
    distiller_config['distill_losses'] = LOSSES
    distiller = make(distiller_config)
    losses = losses_of(distiller, batch, without_labels())
    names = {name for name in losses if name.startswith('unlabeled')}
    assert names == {'unlabeled.loss_kd'}
    assert losses['distill.corrected_kd'] > 0
    student, teacher = (
        distiller.recorded[f'unlabeled.{network}.decode_head.conv_seg']
        for network in ('student', 'teacher')
    )
    torch.testing.assert_close(losses['unlabeled.loss_kd'], KDLoss()(student, teacher))


@pytest.mark.parametrize('class_map', [{0: None}, {0: [0, 1], 1: None}])
def test_other_classes(distiller_config, batch, class_map):
    """Labels are renumbered like the teacher's classes; others are ignored."""
    distiller_config['distill_losses'] = LOSSES
    distiller_config['teacher']['class_map'] = class_map
    losses = losses_of(without_dropout(build_distiller(distiller_config)), batch)
    assert 0 < losses['distill.corrected_kd'] <= 1
    for name in LOSSES:
        assert losses[f'distill.{name}'].isfinite()


def test_classifiers(classifiers):
    from mmpretrain.structures import DataSample

    images = list(torch.rand(4, 3, 32, 32) * 255)
    samples = [DataSample().set_gt_label(label) for label in range(4)]
    batch = dict(inputs=images, data_samples=samples)
    classifiers['distill_losses']['loss_kd']['teacher_correction'] = CORRECTION
    losses = losses_of(build_distiller(classifiers), batch)
    assert losses['distill.corrected_kd'] > 0
    classifiers['distill_losses']['loss_kd'] = dict(type='KDLoss', where='edge')
    with pytest.raises(UserError, match=r"^distill_losses\.loss_kd: where='edge' "):
        losses_of(build_distiller(classifiers), batch)


@pytest.mark.parametrize(
    ('change', 'says'),
    [
        (dict(where='edges'), "where must be 'all', 'edge' or 'body', not 'edges'"),
        (dict(where='edge', edge_width=0), 'edge_width must be at least 1 pixel'),
        (dict(where='edge', ignore_index=None), 'None also compares pixels without'),
        (dict(teacher_correction=CORRECTION | dict(mode='max')), "mode must be 'mix'"),
        (dict(teacher_correction=CORRECTION | dict(treshold=1)), 'mean threshold'),
        (dict(teacher_correction='Correction'), 'did you mean TeacherCorrection'),
        (dict(teacher_correction=CORRECTION, ignore_index=None), 'needs labels, but'),
        (dict(teacher_correction=True), 'teacher_correction must be .*, but is True'),
        (dict(teacher_correction=dict(mode='swap')), r"but is \{'mode': 'swap'\}"),
        (dict(teacher_correction='KDLoss'), "a TeacherCorrection, but 'KDLoss'"),
        (dict(teacher_correction=CORRECTION | dict(tau=None)), 'tau must be a number'),
        (dict(divergence=None), 'divergence must be a name .*, but is None'),
        (dict(divergence=dict(alpha=0.8)), "divergence must .* is {'alpha': 0.8}"),
        (dict(ignore_index='none'), "an integer or None, but is 'none'"),
    ],
)
def test_errors_name_the_key(distiller_config, change, says):
    distiller_config['distill_losses']['loss_kd'].update(change)
    with pytest.raises(UserError, match=rf'^distill_losses\.loss_kd.*{says}') as error:
        build_distiller(distiller_config)
    assert '\n' not in str(error.value)


def test_a_sigmoid_head_has_no_teacher_to_correct(distiller_config):
    sigmoid = network()
    sigmoid['decode_head']['loss_decode'] = dict(
        type='CrossEntropyLoss', use_sigmoid=True
    )
    assert sigmoid['decode_head']['num_classes'] == CLASSES
    distiller_config['model'] = sigmoid
    distiller_config['distill_losses']['loss_kd']['teacher_correction'] = CORRECTION
    with pytest.raises(UserError, match=r'loss_kd: teacher_correction moves .*remove'):
        build_distiller(distiller_config)
