"""Logit losses whose teacher is corrected by the labels."""

import math

import pytest
import torch
from mmengine.registry import DefaultScope
from torch.nn.functional import interpolate
from torch.testing import assert_close

from mmkd.functional import correct_teacher
from mmkd.losses import (
    CTKDLoss,
    CWDLoss,
    DeepSupervisionLoss,
    DISTLoss,
    DKDLoss,
    KDLoss,
    MLKDLoss,
    TeacherCorrection,
)
from mmkd.registry import MODELS
from tests.reference import pair, value_and_gradient

NAME = 'TeacherCorrection'
MODES = pytest.mark.parametrize('mode', ['mix', 'swap'])
KINDS = {
    'KD, fused': (KDLoss, dict(tau=2.0, tau_teacher=3.0)),
    'KD, eager': (KDLoss, dict(impl='eager', divergence='ReverseKL')),
    'KD, SC': (KDLoss, dict(standardize=True, scale_compensated=True)),
    'KD, CB': (KDLoss, dict(class_balanced=True)),
    'LSKD': (KDLoss, dict(standardize=True, tau=0.5, divergence='BalancedKL')),
    'CTKD': (CTKDLoss, {}),
    'DKD': (DKDLoss, dict(standardize=True)),
    'MLKD': (MLKDLoss, {}),
    'DIST': (DISTLoss, {}),
    'CWD': (CWDLoss, {}),
}
EVERY_KIND = pytest.mark.parametrize('kind', KINDS)


def build(kind, correction=None, **options):
    loss, own = KINDS[kind]
    return loss(**own, **options, teacher_correction=correction).double()


def batch(shape, size=None, device='cpu'):
    """Logits of both, and a label; a quarter of a map's pixels is ignored."""
    student, teacher = pair(*shape, device=device)
    size = shape[:1] + (size or shape[2:])
    target = torch.arange(math.prod(size), device=device).view(size) % shape[1]
    if len(shape) == 4:
        target[:, : size[1] // 2, : size[2] // 2] = 255
    return student, teacher, target


@EVERY_KIND
@MODES
@pytest.mark.parametrize('shape', [(24, 5), (2, 5, 4, 6)])
def test_equals_the_loss_of_a_corrected_teacher(kind, mode, shape, device):
    if kind == 'CWD' and len(shape) == 2:
        pytest.skip('compares maps only')
    student, teacher, target = batch(shape, device=device)
    mask = target != 255 if len(shape) == 4 else None
    corrected, where = correct_teacher(teacher, target, mode, 0.3, mask=mask)
    loss = build(kind, TeacherCorrection(mode, 0.3)).to(device)
    found = value_and_gradient(loss, student, teacher, target)
    other = build(kind).to(device)
    if kind == 'KD, CB':  # balanced by the teacher as it is
        other.class_weight = lambda *args: build(kind).class_weight(teacher, *args[1:])
    assert_close(found, value_and_gradient(other, student, corrected, target))
    assert found[0] != other(student, teacher, target)
    share = where.sum() / (target.numel() if mask is None else mask.sum())
    assert_close(loss.logged()['corrected'], share.double())
    assert 0 < share < 1


@MODES
@pytest.mark.parametrize('impl', ['eager', 'fused'])
@pytest.mark.parametrize('standardize', [False, True])
def test_corrected_at_the_resolution_of_the_comparison(mode, impl, standardize, device):
    student, teacher, target = batch((2, 5, 3, 4), (12, 16), device)
    options = dict(impl=impl, standardize=standardize, divergence='BalancedKL')
    loss = KDLoss(
        **options, resolution='label', teacher_correction=TeacherCorrection(mode)
    )
    found = value_and_gradient(loss, student, teacher, target)
    up = interpolate(teacher, (12, 16), mode='bilinear')
    corrected, _ = correct_teacher(up, target, mode, mask=target != 255)
    expected = value_and_gradient(
        lambda s: KDLoss(**dict(options, impl='eager'))(
            interpolate(s, (12, 16), mode='bilinear'), corrected, target
        ),
        student,
    )
    assert_close(found, expected)


@EVERY_KIND
@MODES
@pytest.mark.parametrize('resolution', ['tap', 'label'])
@pytest.mark.parametrize('bad', [torch.nan, -torch.inf])
def test_ignored_pixels(kind, mode, resolution, bad, device):
    student, teacher, target = batch((2, 5, 4, 6), (16, 24), device)
    loss = build(kind, TeacherCorrection(mode), resolution=resolution).to(device)
    expected = value_and_gradient(loss, student, teacher, target)
    share = loss.logged()['corrected']
    student[..., 0, 0] = teacher[..., 0, 0] = bad
    found = value_and_gradient(loss, student, teacher, target)
    assert_close(found, expected)
    assert (found[1][..., 0, 0] == 0).all()
    assert loss.logged()['corrected'] == share


@EVERY_KIND
def test_all_pixels_ignored(kind):
    student, teacher, target = batch((2, 5, 4, 6))
    loss = build(kind, NAME)
    value, gradient = value_and_gradient(loss, student, teacher, target * 0 + 255)
    assert value == 0
    assert (gradient == 0).all()
    assert loss.logged()['corrected'] == 0


@EVERY_KIND
def test_extreme_logits(kind, device):
    student, teacher, target = batch((2, 5, 4, 6), device=device)
    for scale in (0.0, 1e4):
        args = (scale * x.sign().float() for x in (student, teacher))
        value, gradient = value_and_gradient(
            build(kind, NAME).float().to(device), *args, target
        )
        assert value.isfinite()
        assert gradient.isfinite().all()


@pytest.mark.parametrize('shape', [(24, 5), (2, 5, 4, 6)])
def test_without_a_known_label(shape):
    """As on images without labels."""
    student, teacher, _ = batch(shape)
    loss = build('KD, fused', NAME)
    target = None
    if len(shape) == 4:
        inside = torch.ones(2, 4, 6, dtype=torch.bool)
        inside[:, 2:] = False
        target = loss.unlabeled_target(inside)
    expected = build('KD, fused')(student, teacher, target)
    assert_close(loss(student, teacher, target), expected)
    assert loss.logged()['corrected'] == 0
    assert not loss.needs_labels


def test_unlabeled_images_with_a_class_that_is_ignored():
    student, teacher, _ = batch((2, 5, 4, 6))
    loss = build('KD, fused', NAME, ignore_index=0)
    target = loss.unlabeled_target(torch.ones(2, 4, 6, dtype=torch.bool))
    assert_close(loss(student, teacher, target), build('KD, fused')(student, teacher))


def test_a_corrected_teacher_teaches_the_labels():
    """Descent along the gradient reaches the labels, which the teacher has wrong."""
    student, _, target = batch((8, 5))
    teacher = torch.zeros_like(student).scatter_(1, (target[:, None] + 1) % 5, 4.0)
    predictions = []
    for correction in (None, NAME):
        leaf = student.clone().requires_grad_()
        optimizer = torch.optim.Adam([leaf], lr=0.3)
        for _ in range(80):
            optimizer.zero_grad()
            build('KD, eager', correction)(leaf, teacher, target).backward()
            optimizer.step()
        predictions.append(leaf.argmax(1))
    assert torch.equal(predictions[0], (target + 1) % 5)
    assert torch.equal(predictions[1], target)


def test_on_edges_only():
    student, teacher, target = batch((2, 5, 8, 8))
    target[:] = 1
    target[:, :, 4:] = 3
    loss = KDLoss(teacher_correction=NAME, where='edge', edge_width=1)
    loss(student, teacher, target)
    middle = teacher[..., 3:5], target[..., 3:5]
    _, where = correct_teacher(*middle)
    assert_close(loss.logged()['corrected'], where.double().mean())


@pytest.mark.parametrize('scope', [None, 'mmkd', 'mmseg', 'mmpretrain'])
def test_built_by_the_registry_in_any_scope(scope):
    config = dict(type=NAME, mode='swap', threshold=0.1)
    with DefaultScope.overwrite_default_scope(scope):
        loss = MODELS.build(dict(type='mmkd.KDLoss', teacher_correction=config))
    assert loss.teacher_correction.mode == 'swap'
    assert loss.teacher_correction.threshold == 0.1
    assert "TeacherCorrection(mode='swap', threshold=0.1, tau=1.0)" in repr(loss)


def test_other_values_are_logged_too():
    assert set(build('CTKD', NAME).logged()) == {'corrected', 'tau', 'lambda'}
    assert set(build('CTKD').logged()) == {'tau', 'lambda'}
    deep = DeepSupervisionLoss(dict(type='KDLoss', teacher_correction=NAME))
    assert set(deep.logged()) == {'corrected'}


@pytest.mark.parametrize('kind', ['KD, eager', 'CTKD', 'CWD'])
def test_refuses_sigmoids(kind):
    message = '^teacher_correction moves probability .* sigmoid outputs.* remove it$'
    with pytest.raises(ValueError, match=message):
        build(kind, NAME, activation='sigmoid')
    with pytest.raises(ValueError, match=message):
        build(kind, NAME).set_activation('sigmoid')


def test_refuses_what_it_cannot_correct():
    student, teacher, target = batch((24, 5))
    loss = build('KD, eager', NAME)
    with pytest.raises(ValueError, match=r'got soft labels .* use hard labels, or'):
        loss(student, teacher, teacher.softmax(1))
    with pytest.raises(ValueError, match='label 9 is not a class'):
        loss(student, teacher, target * 0 + 9)
    with pytest.raises(ValueError, match='ignore_index=None compares all pixels'):
        build('KD, eager', NAME, ignore_index=None)
    corrected = dict(type='KDLoss', teacher_correction=NAME)
    with pytest.raises(ValueError, match='ignore_index=None compares all pixels'):
        DeepSupervisionLoss(corrected, ignore_index=None)
    with pytest.raises(ValueError, match='an adapter is for features'):
        build('CWD', NAME, adapter='conv')
    with pytest.raises(ValueError, match='threshold must'):
        build('KD, eager', dict(type=NAME, threshold=1.0))
