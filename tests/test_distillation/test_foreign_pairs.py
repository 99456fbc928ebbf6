"""Pairs that mmkd has never heard of need no code: only these lines of config."""

from pathlib import Path

import cv2
import mmseg
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS, DefaultScope
from mmpretrain.structures import DataSample
from mmseg.registry import MODELS
from torch import nn

from mmkd.checkpoint import load_weights
from mmkd.registry import MODELS as MMKD_MODELS
from tests.conftest import build_distiller

CONFIG = """
_base_ = '{student}'
runner_type = 'mmkd.DistillRunner'
teacher = dict(config='{teacher}', checkpoint='{checkpoint}')
distill_losses = dict({loss})
"""
LOGITS = "loss_kd=dict(type='KDLoss', standardize=True, divergence='BalancedKL')"
FEATURES = "loss_kd=dict(type='FeatureMSELoss', student='backbone.spp', adapter='conv')"
MMSEG = Path(mmseg.__file__).parent / '.mim' / 'configs'
CROP = (128, 128)
PAIRS = {
    'segformer': (
        'segformer/segformer_mit-b1_8xb1-160k_cityscapes-1024x1024.py',
        'segformer/segformer_mit-b0_8xb1-160k_cityscapes-1024x1024.py',
    ),
    'deeplabv3plus': (
        'deeplabv3plus/deeplabv3plus_r50-d8_4xb2-80k_cityscapes-512x1024.py',
        'mobilenet_v2/mobilenet-v2-d8_deeplabv3plus_4xb2-80k_cityscapes-512x1024.py',
    ),
    'features': (
        'segformer/segformer_mit-b2_8xb1-160k_cityscapes-1024x1024.py',
        'pidnet/pidnet-s_2xb6-120k_1024x1024-cityscapes.py',
    ),
    'cascade': (
        'ocrnet/ocrnet_hr18_4xb2-80k_cityscapes-512x1024.py',
        'ocrnet/ocrnet_hr18s_4xb2-80k_cityscapes-512x1024.py',
    ),
}


@pytest.fixture
def cityscapes(tmp_path):
    """Four random images in Cityscapes' layout."""
    rng = np.random.default_rng(0)
    for kind in ('leftImg8bit', 'gtFine'):
        (tmp_path / kind / 'train' / 'town').mkdir(parents=True)
    for number in range(4):
        stem = f'town/town_{number:06}_000019'
        image = rng.integers(0, 256, (*CROP, 3), dtype=np.uint8)
        label = rng.integers(0, 19, CROP, dtype=np.uint8)
        label[:9] = 255
        cv2.imwrite(f'{tmp_path}/leftImg8bit/train/{stem}_leftImg8bit.png', image)
        cv2.imwrite(f'{tmp_path}/gtFine/train/{stem}_gtFine_labelTrainIds.png', label)
    return tmp_path


def without_download(network):
    """Takes out the pretraining, which would be fetched."""
    network.pretrained = None
    network.backbone.init_cfg = None
    return network


@pytest.mark.parametrize(
    'pair',
    [
        'segformer',
        'features',
        pytest.param('cascade', marks=pytest.mark.slow),
        pytest.param('deeplabv3plus', marks=pytest.mark.slow),
    ],
)
def test_two_steps(pair, cityscapes, tmp_path):
    teacher, student = (MMSEG / path for path in PAIRS[pair])
    checkpoint = tmp_path / 'teacher.pth'
    with DefaultScope.overwrite_default_scope('mmseg'):
        network = MODELS.build(without_download(Config.fromfile(teacher).model))
    torch.save({'state_dict': network.state_dict()}, checkpoint)

    loss = FEATURES if pair == 'features' else LOGITS
    text = CONFIG.format(
        student=student, teacher=teacher, checkpoint=checkpoint, loss=loss
    )
    (tmp_path / 'distill.py').write_text(text)
    config = Config.fromfile(tmp_path / 'distill.py')

    # From here on: two steps instead of 80,000, on four small images.
    without_download(config.model)
    config.model.data_preprocessor.size = CROP
    config.train_dataloader.update(batch_size=2, num_workers=0)
    config.train_dataloader.persistent_workers = False
    config.train_dataloader.dataset.update(
        data_root=str(cityscapes),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='GenerateEdge', edge_width=4),  # for PIDNet
            dict(type='PackSegInputs'),
        ],
    )
    config.train_cfg = dict(type='IterBasedTrainLoop', max_iters=2)
    for split in ('val', 'test'):
        for part in ('dataloader', 'evaluator', 'cfg'):
            config.pop(f'{split}_{part}')
    config.work_dir = str(tmp_path / 'work_dir')

    runner = RUNNERS.build(config)
    runner.train()
    history = runner.message_hub.get_scalar('train/distill.loss_kd')
    assert history.data[0].shape == (2,)
    assert (history.data[0] > 0).all()
    state, _ = load_weights(str(tmp_path / 'work_dir' / 'iter_2.pth'), 'checkpoint')
    with DefaultScope.overwrite_default_scope('mmseg'):
        baseline = MODELS.build(config.model)
    baseline.load_state_dict(state, strict=True)


def test_a_vision_transformer_teaches_a_mobilenet(tmp_path):
    """Classifiers without ``head.fc``; no tap is named."""
    head = dict(num_classes=7, topk=(1,))
    sizes = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)
    teacher = dict(
        type='ImageClassifier',
        backbone=dict(type='VisionTransformer', arch=sizes, img_size=64, patch_size=16),
        head=dict(type='VisionTransformerClsHead', in_channels=16, **head),
    )
    student = dict(
        type='ImageClassifier',
        backbone=dict(type='MobileNetV3', arch='small'),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(
            type='StackedLinearClsHead', in_channels=576, mid_channels=[32], **head
        ),
    )
    samples = [DataSample().set_gt_label(label) for label in (0, 1)]
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        network = MMKD_MODELS.build(Config(dict(model=teacher)).model)
        nn.init.normal_(network.head.layers.head.weight)  # zero by default
        checkpoint = str(tmp_path / 'vit.pth')
        torch.save(network.state_dict(), checkpoint)
        distiller = build_distiller(
            dict(
                model=student,
                teacher=dict(model=teacher, checkpoint=checkpoint),
                distill_losses=dict(loss_kd=dict(type='KDLoss')),
            )
        ).train()
    images = torch.randn(2, 3, 64, 64)
    losses = distiller(images, samples, mode='loss')
    losses['distill.loss_kd'].backward()
    (loss,) = distiller.losses
    assert (loss.student_tap, loss.teacher_taps) == ('head', ['head'])
    assert distiller.student.backbone.layer0.conv.weight.grad.any()
    expected = network.eval()(images)
    found = distiller.teacher.outputs(images, ['head'])['head']
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_features_of_a_vision_transformer_teach_a_convnext(tmp_path):
    """Vectors of another width, by an adapter."""
    sizes = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)
    teacher = dict(
        type='ImageClassifier',
        backbone=dict(type='VisionTransformer', arch=sizes, img_size=64, patch_size=16),
        head=dict(type='VisionTransformerClsHead', in_channels=16, num_classes=7),
    )
    student = dict(
        type='ImageClassifier',
        backbone=dict(
            type='ConvNeXt', arch=dict(depths=[1, 1, 1, 1], channels=[8, 8, 8, 12])
        ),
        head=dict(type='LinearClsHead', in_channels=12, num_classes=7, topk=(1,)),
    )
    samples = [DataSample().set_gt_label(label) for label in (0, 1)]
    images = torch.randn(2, 3, 64, 64)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        network = MMKD_MODELS.build(Config(dict(model=teacher)).model)
        checkpoint = str(tmp_path / 'vit.pth')
        torch.save(network.state_dict(), checkpoint)
        distiller = build_distiller(
            dict(
                model=student,
                teacher=dict(model=teacher, checkpoint=checkpoint),
                distill_losses=dict(
                    loss_feature=dict(type='FeatureMSELoss', adapter='mlp')
                ),
            )
        ).train()
    distiller.build_adapters(images, samples, seed=0)
    losses = distiller(images, samples, mode='loss')
    losses['distill.loss_feature'].backward()
    adapter = distiller.distill_losses['loss_feature'].adapter
    assert adapter.network[0].weight.shape == (16, 12, 1, 1)
    assert all(parameter.grad.any() for parameter in adapter.parameters())
    assert distiller.student.backbone.stages[0][0].gamma.grad.any()
