"""Losses on the edges between classes, or inside of them."""

import pytest
import torch
from torch.testing import assert_close

from mmkd.functional import label_edges
from mmkd.losses import (
    AttentionTransferLoss,
    CosineFeatureLoss,
    CTKDLoss,
    CWDLoss,
    DeepSupervisionLoss,
    DISTLoss,
    DKDLoss,
    FeatureMSELoss,
    IFVDLoss,
    KDLoss,
    MLKDLoss,
    SimilarityLoss,
)
from tests.reference import pair, value_and_gradient

KINDS = {
    'KD, fused': (KDLoss, dict(impl='fused')),
    'KD, eager': (KDLoss, dict(impl='eager', standardize=True)),
    'KD, balanced': (KDLoss, dict(class_balanced=True)),
    'KD, sigmoid': (KDLoss, dict(activation='sigmoid')),
    'CTKD': (CTKDLoss, {}),
    'DKD': (DKDLoss, {}),
    'MLKD': (MLKDLoss, {}),
    'DIST': (DISTLoss, {}),
    'CWD': (CWDLoss, {}),
    'MSE': (FeatureMSELoss, {}),
    'cosine': (CosineFeatureLoss, {}),
    'AT': (AttentionTransferLoss, {}),
    'SKD': (SimilarityLoss, {}),
    'IFVD': (IFVDLoss, dict(num_classes=5)),
}
EVERY_KIND = pytest.mark.parametrize('kind', KINDS)
PARTS = pytest.mark.parametrize('where', ['edge', 'body'])


def build(kind, **options):
    loss, own = KINDS[kind]
    return loss(**own, **options).double()


def labels(size, device='cpu'):
    """Two classes beside a third, and an ignored corner."""
    target = torch.zeros(2, *size, dtype=torch.long, device=device)
    target[:, :, size[1] // 2 :] = 3
    target[1, size[0] // 3 :] = 1
    target[:, : size[0] // 4, : size[1] // 4] = 255
    return target


def selected(target, where, width):
    """The labels of the edges or of the rest; others ignored."""
    edges = label_edges(target, width)
    return target.where(edges if where == 'edge' else ~edges, 255)


@EVERY_KIND
@PARTS
@pytest.mark.parametrize('scale', [1, 4])
def test_equals_the_loss_of_the_selected_pixels(kind, where, scale, device):
    """Edges are those of the label's own resolution."""
    student, teacher = pair(2, 5, 8, 10, device=device)
    target, width = labels((8 * scale, 10 * scale), device), scale
    loss = build(kind, where=where, edge_width=width).to(device)
    found = value_and_gradient(loss, student, teacher, target)
    other = build(kind).to(device)
    args = student, teacher, selected(target, where, width)
    assert_close(found, value_and_gradient(other, *args))
    assert found[0] > 0
    assert found[0] != other(student, teacher, target)
    outside = (args[2][:, ::scale, ::scale] == 255)[:, None].expand_as(student)
    assert outside.any()
    assert (found[1][outside] == 0).all()


@PARTS
@pytest.mark.parametrize('impl', ['eager', 'fused'])
def test_at_the_labels_resolution(where, impl, device):
    student, teacher = pair(2, 5, 4, 6, device=device)
    target = labels((16, 24), device)
    loss = KDLoss(impl=impl, resolution='label', where=where, edge_width=2)
    expected = KDLoss(impl='eager', resolution='label')(
        student, teacher, selected(target, where, 2)
    )
    assert_close(loss(student, teacher, target), expected)


def test_edges_and_body_are_all_pixels(device):
    student, teacher = pair(2, 5, 8, 10, device=device)
    target = labels((8, 10), device)
    total = 0
    for where in ('edge', 'body'):
        count = (selected(target, where, 4) != 255).sum()
        total = total + count * KDLoss(where=where)(student, teacher, target)
    valid = (target != 255).sum()
    assert_close(total / valid, KDLoss()(student, teacher, target))


@EVERY_KIND
@pytest.mark.parametrize('ignored', [False, True])
def test_without_an_edge(kind, ignored):
    """An image of one class, or without labels, has no edge: 0, with a graph."""
    student, teacher = pair(2, 5, 4, 6)
    teacher[..., 0, 0] = torch.nan
    target = torch.full((2, 4, 6), 255 if ignored else 2)
    loss = build(kind, where='edge')
    value, gradient = value_and_gradient(loss, student, teacher, target)
    assert value == 0
    assert (gradient == 0).all()


@EVERY_KIND
@PARTS
def test_nan_outside_has_no_effect(kind, where):
    student, teacher = pair(2, 5, 8, 10)
    target = labels((8, 10))
    loss = build(kind, where=where, edge_width=1)
    expected = value_and_gradient(loss, student, teacher, target)
    outside = (selected(target, where, 1) == 255)[:, None].expand_as(student)
    student[outside] = teacher[outside] = torch.nan
    assert_close(value_and_gradient(loss, student, teacher, target), expected)


@pytest.mark.parametrize('kind', ['KD, fused', 'MSE'])
@PARTS
def test_without_a_label_map(kind, where):
    loss = build(kind, where=where)
    maps, vectors = pair(2, 5, 4, 6), pair(2, 5)
    no_map = rf"^where='{where}' compares maps.* have no label map; set where='all'$"
    with pytest.raises(ValueError, match=no_map):
        loss(*maps)
    with pytest.raises(ValueError, match=r"vectors; set where='all'$"):
        loss(*vectors, torch.tensor([0, 1]))


def test_features_with_labels_of_images():
    with pytest.raises(ValueError, match='have no label map'):
        FeatureMSELoss(where='edge')(*pair(2, 5, 4, 6), torch.tensor([0, 1]))


def test_tokens_are_maps():
    student, teacher = pair(2, 5, 4, 4)
    target, loss = labels((4, 4)), FeatureMSELoss(where='edge', edge_width=1)
    tokens = [x.flatten(2).mT for x in (student, teacher)]
    assert_close(loss(*tokens, target), loss(student, teacher, target))


def test_deep_supervision():
    config = dict(type='KDLoss')
    loss = DeepSupervisionLoss(config, where='body', edge_width=2)
    features, logits = pair(2, 7, 8, 10)[0], pair(2, 5, 4, 5)[1]
    loss.build_adapter(features, logits)
    loss.double()
    target = labels((16, 20))
    plain = DeepSupervisionLoss(config)
    plain.adapter = loss.adapter
    expected = plain(features, logits, selected(target, 'body', 2))
    assert_close(loss(features, logits, target), expected)


@pytest.mark.parametrize('kind', ['KD, fused', 'SKD'])
def test_needs_labels(kind):
    assert not build(kind).needs_labels
    assert build(kind, where='body').needs_labels
    assert DeepSupervisionLoss(where='edge').needs_labels


@pytest.mark.parametrize('kind', [KDLoss, CWDLoss, FeatureMSELoss])
def test_refuses_bad_arguments(kind):
    message = "^where must be 'all', 'edge' or 'body', not 'inside'$"
    with pytest.raises(ValueError, match=message):
        kind(where='inside')
    with pytest.raises(ValueError, match=r'^edge_width must be at least 1'):
        kind(edge_width=0)
