"""Configs whose types are classes train with --amp and keep the Runner's guarantees."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmkd.registry import type_name

BASE = """
from mmengine.hooks import CheckpointHook, IterTimerHook, LoggerHook, ParamSchedulerHook
from mmengine.optim import OptimWrapper
from mmengine.runner import IterBasedTrainLoop, LogProcessor
from mmseg.models import (
    CrossEntropyLoss, EncoderDecoder, FCNHead, ResNetV1c, SegDataPreProcessor
)
from torch.optim import SGD

default_scope = 'mmseg'
norm = dict(type='BN')
model = dict(
    type=EncoderDecoder,
    data_preprocessor=dict(type=SegDataPreProcessor, size=(64, 64)),
    backbone=dict(
        type=ResNetV1c, depth=18, base_channels=8, stem_channels=8, norm_cfg=norm
    ),
    decode_head=dict(
        type=FCNHead,
        in_channels=64,
        in_index=3,
        channels=8,
        num_classes=11,
        norm_cfg=norm,
        align_corners=False,
        loss_decode=dict(type=CrossEntropyLoss),
    ),
    test_cfg=dict(mode='whole'),
)
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=SGD, lr=0.01))
train_cfg = dict(type=IterBasedTrainLoop, max_iters=4)
log_processor = dict(type=LogProcessor, by_epoch=False)
default_hooks = dict(
    timer=dict(type=IterTimerHook),
    logger=dict(type=LoggerHook, interval=1, log_metric_by_epoch=False),
    param_scheduler=dict(type=ParamSchedulerHook),
    checkpoint=dict(type=CheckpointHook, by_epoch=False, interval=1, max_keep_ckpts=2),
)
"""
STUDENT = """
from mmengine.config import read_base
from mmengine.dataset import InfiniteSampler
from mmcv.transforms import LoadImageFromFile
from mmseg.datasets.transforms import LoadAnnotations, PackSegInputs, RandomCrop

from mmkd.datasets import CamVidDataset

with read_base():
    from .pure_base import *

train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type=InfiniteSampler, shuffle=True),
    dataset=dict(
        type=CamVidDataset,
        data_root='{data}',
        data_prefix=dict(img_path='train', seg_map_path='trainannot'),
        img_suffix='.png',
        pipeline=[
            dict(type=LoadImageFromFile),
            dict(type=LoadAnnotations),
            dict(type=RandomCrop, crop_size=(64, 64)),
            dict(type=PackSegInputs),
        ],
    ),
)
"""
DISTILLED = """
from mmengine.config import read_base

from mmkd import DistillRunner
from mmkd.losses import BalancedKL, KDLoss

with read_base():
    from .pure_student import *

runner_type = DistillRunner
teacher = dict(config='teacher.py', checkpoint='work_dirs/teacher/iter_4.pth')
distill_losses = dict(
    loss_kd=dict(type=KDLoss, standardize=True, divergence=dict(type=BalancedKL))
)
"""
# Classes in an ordinary config, whose bases have names.
MIXED = """
_base_ = 'kd.py'
from mmengine.hooks import CheckpointHook
from mmengine.optim import OptimWrapper
from mmkd import DistillRunner

runner_type = DistillRunner
optim_wrapper = dict(type=OptimWrapper)
default_hooks = dict(
    checkpoint=dict(type=CheckpointHook, interval=1, max_keep_ckpts=2)
)
"""


@pytest.fixture(scope='module')
def configs(bench, kd):
    bench.write('pure_base.py', BASE)
    data = bench.folder / 'data'
    return {
        'student': bench.write('pure_student.py', STUDENT.format(data=data)),
        'distilled': bench.write('pure_distilled.py', DISTILLED),
        'mixed': bench.write('mixed.py', MIXED),
    }


@pytest.mark.parametrize('name', ['student', 'distilled', 'mixed'])
def test_training_in_mixed_precision(bench, configs, name):
    work_dir = f'amp_{name}'
    done = bench.run('train.py', configs[name], '--amp', '--work-dir', work_dir)
    assert done.iterations() == [1, 2, 3, 4]
    assert 'SafeCheckpointHook' in done.output
    assert ('distill.loss_kd: ' in done.output) == (name != 'student')
    kept = sorted(path.name for path in (bench.folder / work_dir).glob('*.pth'))
    assert kept == ['iter_3.pth', 'iter_4.pth']
    written = bench.folder / work_dir / Path(configs[name]).name
    assert "type='mmkd.CpuAmpOptimWrapper'" in written.read_text()
    if name != 'mixed':  # MMEngine writes the classes of such a config without imports
        assert type_name(Config.fromfile(written).model) == 'EncoderDecoder'
