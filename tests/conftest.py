"""Networks and batches small enough to run in a blink."""

import copy
import os

import pytest
import torch

# Before anything imports Triton, whose interpreter runs kernels without a GPU.
if not torch.cuda.is_available():
    os.environ['TRITON_INTERPRET'] = '1'

from mmengine.config import Config
from mmengine.registry import DefaultScope
from yapf.yapflib import yapf_api

from mmkd.cli.console import import_packages

import_packages()

# Runs, in forks too, write their configs unformatted: formatting takes a second a run.
yapf_api.FormatCode = lambda text, *args, **kwargs: (text, True)

CLASSES = 5
HANGS = 600  # seconds, at least ten times what any process or command takes
DEVICES = ['cpu', 'cuda'] if torch.cuda.is_available() else ['cpu']
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def pytest_collection_modifyitems(items):
    """Start with the files whose tests train: at the end, a process would wait."""
    first = 'tests/test_docs/', 'tests/test_tools/', 'tests/test_distillation/'
    items.sort(key=lambda item: not item.nodeid.startswith(first))


@pytest.fixture(params=DEVICES)
def device(request):
    """The CPU and, where there is one, a GPU."""
    return request.param


@pytest.fixture(params=DTYPES, ids=lambda dtype: str(dtype).removeprefix('torch.'))
def dtype(request):
    """Every precision in which networks give logits."""
    return request.param


@pytest.fixture(autouse=True)
def _mmseg_scope():
    """Set the default scope like a Runner with ``default_scope = 'mmseg'``."""
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def network(width=8, classes=CLASSES, **preprocessor):
    """Config of a PSPNet with a ResNet-18 of ``width`` channels (64 is the usual)."""
    norm = dict(type='BN')
    head = dict(
        num_classes=classes,
        norm_cfg=norm,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss'),
    )
    normalization = dict(mean=[124.0, 116.0, 104.0], std=[58.0, 57.0, 57.0])
    return dict(
        type='EncoderDecoder',
        data_preprocessor={
            **dict(type='SegDataPreProcessor', bgr_to_rgb=True, size=(32, 32)),
            **normalization,
            **preprocessor,
        },
        backbone=dict(
            type='ResNetV1c',
            depth=18,
            base_channels=width,
            stem_channels=width,
            dilations=(1, 1, 2, 4),
            strides=(1, 2, 1, 1),
            norm_cfg=norm,
        ),
        decode_head=dict(
            type='PSPHead',
            in_channels=8 * width,
            in_index=3,
            channels=width,
            pool_scales=(1, 2),
            **copy.deepcopy(head),
        ),
        auxiliary_head=dict(
            type='FCNHead',
            in_channels=4 * width,
            in_index=2,
            channels=width,
            num_convs=1,
            **copy.deepcopy(head),
        ),
        test_cfg=dict(mode='whole'),
    )


def build(config):
    """Builds and initialises a network of mmseg's."""
    from mmseg.registry import MODELS

    model = MODELS.build(Config(dict(model=config)).model)
    model.init_weights()
    return model


def random_batch(images=2, size=(32, 32), classes=CLASSES):
    """Batch as a data loader returns it for a segmentor's data preprocessor."""
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    samples = []
    for _ in range(images):
        label = torch.randint(0, classes, (1, *size))
        label[:, :4] = 255
        sample = SegDataSample(gt_sem_seg=PixelData(data=label))
        sample.set_metainfo(dict(img_shape=size, ori_shape=size))
        samples.append(sample)
    inputs = [torch.randint(0, 256, (3, *size)).float() for _ in range(images)]
    return dict(inputs=inputs, data_samples=samples)


@pytest.fixture
def teacher_config(tmp_path):
    """A teacher's config, with random but saved weights."""
    torch.manual_seed(7)
    config = network(width=16)
    checkpoint = tmp_path / 'teacher.pth'
    torch.save(dict(state_dict=build(config).state_dict(), meta={}), checkpoint)
    return dict(model=config, checkpoint=str(checkpoint))


@pytest.fixture
def classifiers(tmp_path):
    """A Distiller's config of two small classifiers."""
    from mmkd.registry import MODELS

    config = dict(
        type='mmpretrain.ImageClassifier',
        data_preprocessor=dict(type='mmpretrain.ClsDataPreprocessor', num_classes=7),
        backbone=dict(type='mmkd.CIFARResNet', depth=8),
        head=dict(type='mmpretrain.LinearClsHead', num_classes=7, in_channels=64),
        neck=dict(type='mmpretrain.GlobalAveragePooling'),
    )
    torch.manual_seed(7)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        teacher = MODELS.build(Config(dict(model=config)).model)
        teacher.init_weights()
        checkpoint = tmp_path / 'classifier.pth'
        torch.save(dict(state_dict=teacher.state_dict(), meta={}), checkpoint)
        yield dict(
            model=config,
            teacher=dict(model=config, checkpoint=str(checkpoint)),
            distill_losses=dict(loss_kd=dict(type='KDLoss')),
        )


@pytest.fixture
def distiller_config(teacher_config):
    """Keys of a distillation's config; tests change what they are about."""
    return dict(
        model=network(),
        teacher=teacher_config,
        distill_losses=dict(loss_kd=dict(type='KDLoss')),
    )


def build_distiller(config, initialize=True):
    """Build a Distiller as DistillRunner does, with its teacher for training."""
    from mmkd.distillation import Distiller
    from mmkd.registry import MODELS

    student = MODELS.build(Config(dict(model=config['model'])).model)
    distiller = Distiller(student, config['teacher'], config['distill_losses'])
    if initialize:
        distiller.init_weights()
    return distiller


def build_runner(config, **arguments):
    """Build a DistillRunner of a distillation's keys and a Runner's arguments."""
    from mmkd import DistillRunner

    keys = {key: value for key, value in config.items() if key != 'model'}
    return DistillRunner(
        model=Config(dict(model=config['model'])).model,
        cfg=copy.deepcopy(keys),
        default_scope='mmseg',
        **arguments,
    )
