"""Losses between features, as modules."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from mmkd import functional
from mmkd.losses import (
    AttentionTransferLoss,
    CosineFeatureLoss,
    DeepSupervisionLoss,
    FeatureMSELoss,
    IFVDLoss,
    KDLoss,
    SimilarityLoss,
)
from mmkd.losses.feature_loss import as_map
from mmkd.registry import MODELS

OPTIONS = {
    FeatureMSELoss: dict(normalize=True),
    CosineFeatureLoss: {},
    AttentionTransferLoss: {},
    SimilarityLoss: dict(side=3, temperature=0.07),
    IFVDLoss: dict(num_classes=4),
}
FUNCTIONS = {
    FeatureMSELoss: functional.feature_mse_loss,
    CosineFeatureLoss: functional.feature_cosine_loss,
    AttentionTransferLoss: functional.attention_transfer_loss,
    SimilarityLoss: functional.similarity_loss,
    IFVDLoss: functional.ifvd_loss,
}
EVERY_LOSS = pytest.mark.parametrize('kind', OPTIONS)


def maps(channels=5, size=(6, 8), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, channels, *size, generator=generator, dtype=torch.float64)


def labels(size=(6, 8)):
    generator = torch.Generator().manual_seed(2)
    target = torch.randint(0, 4, (2, *size), generator=generator)
    target[:, :2] = 255
    return target


@EVERY_LOSS
def test_module_equals_function(kind, device):
    student, teacher, target = (x.to(device) for x in (maps(), maps(seed=1), labels()))
    options = dict(OPTIONS[kind], mask=target != 255)
    if kind is IFVDLoss:
        options['target'] = target
    expected = 0.5 * FUNCTIONS[kind](student, teacher, **options)
    assert expected > 0
    found = kind(loss_weight=0.5, **OPTIONS[kind])(student, teacher, target)
    assert_close(found, expected)


@EVERY_LOSS
def test_the_teacher_is_resized_to_the_student(kind):
    student, teacher, target = maps(), maps(size=(3, 4), seed=1), labels((24, 32))
    resized = nn.functional.interpolate(teacher, (6, 8), mode='bilinear')
    loss = kind(**OPTIONS[kind])
    nearest = target[:, ::4, ::4]
    assert_close(loss(student, teacher, target), loss(student, resized, nearest))


@EVERY_LOSS
def test_the_teacher_gets_no_gradient(kind):
    student, teacher = maps().requires_grad_(), maps(seed=1).requires_grad_()
    kind(**OPTIONS[kind])(student, teacher, labels()).backward()
    assert student.grad.abs().max() > 0
    assert teacher.grad is None


@EVERY_LOSS
def test_builds_from_a_config(kind):
    assert isinstance(MODELS.build(dict(type=f'mmkd.{kind.__name__}')), kind)


@EVERY_LOSS
def test_autocast_does_not_matter(kind):
    student, teacher, target = maps().float(), maps(seed=1).float(), labels()
    loss = kind(**OPTIONS[kind])
    expected = loss(student, teacher, target)
    with torch.autocast('cpu', torch.bfloat16):
        assert loss(student, teacher, target) == expected


@pytest.mark.parametrize('adapter', ['conv', 'conv_bn', 'mlp'])
@pytest.mark.parametrize('shape', [(2, 3, 6, 8), (2, 3)])
def test_adapters(adapter, shape):
    student, teacher = torch.randn(shape), torch.randn(2, 7, *shape[2:])
    loss = FeatureMSELoss(adapter=adapter)
    loss.build_adapter(student, teacher)
    loss(student, teacher).backward()
    gradients = [p.grad for p in loss.parameters()]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.abs().max() > 0 for gradient in gradients)


def test_an_adapter_of_ones_own():
    loss = FeatureMSELoss(adapter=dict(type='torch.nn.Conv2d', kernel_size=3))
    loss.build_adapter(maps(3), maps(5))
    assert loss.adapter.network.weight.shape == (5, 3, 3, 3)


def test_the_adapter_runs_in_half_precision_under_autocast():
    loss = FeatureMSELoss(adapter='conv')
    student, teacher = maps(3).float(), maps(5).float()
    loss.build_adapter(student, teacher)
    seen = []
    loss.adapter.network.register_forward_hook(lambda *call: seen.append(call[2].dtype))
    with torch.autocast('cpu', torch.bfloat16):
        value = loss(student, teacher)
    assert seen == [torch.bfloat16]
    assert value.dtype == torch.float32


def test_channels_that_change():
    loss = FeatureMSELoss(adapter='conv')
    loss.build_adapter(maps(3), maps(5))
    with pytest.raises(ValueError, match=r'built for 3 channels.*now outputs 4'):
        loss(maps(4), maps(5))


def test_an_unknown_adapter():
    with pytest.raises(ValueError, match=r"'conv', 'conv_bn', 'mlp'.*not 'linear'"):
        FeatureMSELoss(adapter='linear')


@pytest.mark.parametrize('kind', [AttentionTransferLoss, SimilarityLoss, IFVDLoss])
def test_similarities_need_no_adapter(kind):
    with pytest.raises(ValueError, match='needs no adapter: remove adapter'):
        kind(adapter='conv')
    loss = kind(**OPTIONS[kind])
    assert loss(maps(3), maps(5, seed=1), labels()) > 0


@pytest.mark.parametrize('kind', [FeatureMSELoss, CosineFeatureLoss])
def test_other_channels_without_an_adapter(kind):
    with pytest.raises(ValueError, match=r"3 channels.*5; set adapter='conv'"):
        kind()(maps(3), maps(5))


@pytest.mark.parametrize('further', [0, 1])
def test_square_tokens(further):
    tokens = torch.randn(2, further + 9, 4)
    found = as_map(tokens)
    assert found.shape == (2, 4, 3, 3)
    assert_close(found[1, :, 2, 0], tokens[1, further + 6])


def test_tokens_of_a_given_shape():
    tokens = torch.randn(2, 5 + 6, 4)  # a class token and four registers
    found = as_map(tokens, (2, 3))
    assert found.shape == (2, 4, 2, 3)
    assert_close(found[0, :, 1, 2], tokens[0, 10])


@pytest.mark.parametrize(('tokens', 'shape'), [(12, None), (6, (3, 3))])
def test_tokens_without_a_grid(tokens, shape):
    with pytest.raises(ValueError, match=rf'{tokens} tokens.*set shape=\(height'):
        as_map(torch.zeros(1, tokens, 4), shape)


def test_tokens_and_maps_compare():
    loss = CosineFeatureLoss()
    features = maps(size=(3, 3))
    tokens = features.flatten(2).mT
    assert_close(loss(tokens, features), torch.tensor(0.0, dtype=torch.float64))


def test_vectors_and_maps_do_not_compare():
    with pytest.raises(ValueError, match='both be maps or both be vectors'):
        FeatureMSELoss()(maps(), maps()[..., 0, 0])


def test_labels_of_images_mask_no_pixel():
    student, teacher = maps(), maps(seed=1)
    loss = FeatureMSELoss()
    expected = loss(student, teacher)
    assert_close(loss(student, teacher, torch.tensor([255, 1])), expected)


def test_ifvd_without_label_maps():
    loss = IFVDLoss(num_classes=3)
    with pytest.raises(ValueError, match='a label for each pixel'):
        loss(maps(), maps(), torch.tensor([0, 1]))


def test_ifvd_without_a_number_of_classes():
    with pytest.raises(ValueError, match='set num_classes'):
        IFVDLoss()(maps(), maps(), labels())


@pytest.mark.parametrize(
    ('loss', 'message'),
    [
        (dict(type='KDLoss', where='edge'), 'loss.where: .* move this key to'),
        (dict(type='KDLoss', ignore_index=0), 'loss.ignore_index: .* move this key'),
        (dict(type='KDLoss', resolution='label'), 'loss.resolution: .* remove this'),
        (dict(type='FeatureMSELoss'), "loss must be a LogitLoss, but 'FeatureMSELoss'"),
        (3, "loss must be a name such as 'KDLoss', or a dict"),
    ],
)
def test_deep_supervision_refuses_what_has_no_effect(loss, message):
    with pytest.raises((TypeError, ValueError), match=message):
        DeepSupervisionLoss(loss)


def test_deep_supervision_is_a_logit_loss_of_a_classifier():
    config = dict(type='KDLoss', tau=2.0, standardize=True)
    loss = DeepSupervisionLoss(config, loss_weight=0.5, ignore_index=3)
    features, logits, target = maps(7), maps(4, (3, 4), seed=1), labels()
    loss.build_adapter(features, logits)
    loss.double()
    ours = loss.adapter(features)
    assert ours.shape == (2, 4, 6, 8)
    expected = 0.5 * KDLoss(tau=2.0, standardize=True, ignore_index=3)(
        ours, logits, target.where(target != 255, 0)
    )
    assert_close(loss(features, logits, target.where(target != 255, 0)), expected)
