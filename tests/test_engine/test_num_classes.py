import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger
from torch import nn

from mmkd.engine.config import read_config
from mmkd.engine.num_classes import check_num_classes
from mmkd.errors import UserError
from mmkd.registry import MODELS
from tests.conftest import build, network

STDC = 'mmseg::stdc/stdc1_4xb12-80k_cityscapes-512x1024.py'
PIDNET = 'mmseg::pidnet/pidnet-s_2xb6-120k_1024x1024-cityscapes.py'
KNET = 'mmseg::knet/knet-s3_r50-d8_fcn_8xb2-adamw-80k_ade20k-512x512.py'


class Data:
    def __init__(self, classes):
        self.metainfo = dict(classes=[str(number) for number in range(classes)])


def error_of(model, classes):
    with pytest.raises(UserError) as raised:
        check_num_classes(model, Data(classes))
    assert '\n' not in str(raised.value)
    return str(raised.value)


def published(name, **options):
    """A published network with changed keys and without pretrained weights."""
    config = read_config(name, {f'model.{key}': v for key, v in options.items()})
    config.model.backbone.init_cfg = None
    return MODELS.build(config.model)


def test_auxiliary_heads():
    config = network()
    config['auxiliary_head'] = [
        config['auxiliary_head'],
        dict(config['auxiliary_head']),
    ]
    config['auxiliary_head'][1]['num_classes'] = 3
    model = build(config)
    check_num_classes(model, Data(3))
    error = error_of(model, 5)
    assert error.startswith('model.auxiliary_head.1.num_classes: 3, but train_data')
    others = 'model.decode_head and model.auxiliary_head.0'
    assert f'set it to 5, also in {others}, or' in error


def test_more_classes_than_the_data(monkeypatch):
    model, lines = build(network()), []
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(logger, 'log', lambda level, line: lines.append(line))
    check_num_classes(model, Data(5))
    assert not lines
    check_num_classes(model, Data(3))
    error = 'model.decode_head.num_classes: 5, but train_dataloader.dataset has 3 '
    assert lines[0] == f'{error}classes; no label trains the others'


def test_cascade():
    config = network()
    first, second = config['decode_head'], dict(config['decode_head'], num_classes=4)
    model = build(config)
    model.decode_head = nn.ModuleList(
        MODELS.build(Config(head)._cfg_dict) for head in (first, second)
    )
    error = error_of(model, 5)
    assert error.startswith('model.decode_head.1.num_classes: 4, but')


def test_heads_of_boundaries():
    """Of STDC, which have two classes of their own."""
    model = published(STDC)
    assert model.auxiliary_head[2].num_classes == 2
    check_num_classes(model, Data(19))


@pytest.mark.parametrize(
    ('name', 'options', 'key', 'number'),
    [
        (PIDNET, {}, 'decode_head.loss_decode.0', 3),
        (
            PIDNET,
            {'decode_head.loss_decode.0.class_weight': None},
            'decode_head.loss_decode.1',
            3,
        ),
    ],
)
def test_class_weights(name, options, key, number):
    model = published(name, **{'decode_head.num_classes': 3}, **options)
    error = error_of(model, 3)
    assert error == (
        f'model.{key}.class_weight: 19 weights, but the head has num_classes=3; set it '
        f'to a list of {number}, or to None'
    )


def test_valid_class_weights():
    check_num_classes(published(PIDNET), Data(19))
    for loss in (
        dict(type='CrossEntropyLoss', class_weight=[1.0] * 5),
        dict(type='CrossEntropyLoss', class_weight=None),
        dict(type='FocalLoss', class_weight=[1.0] * 5),
        [dict(type='CrossEntropyLoss', loss_name=f'loss_{i}') for i in range(2)],
    ):
        config = network()
        config['decode_head']['loss_decode'] = loss
        check_num_classes(build(config), Data(5))


def test_one_channel():
    config = network(classes=2)
    for name in ('decode_head', 'auxiliary_head'):
        config[name].update(out_channels=1, threshold=0.5)
        config[name]['loss_decode'] = dict(
            type='CrossEntropyLoss', use_sigmoid=True, class_weight=[3.0]
        )
    check_num_classes(build(config), Data(2))


def test_mask_classifier():
    """Its class weights include one for no object; K-Net's heads are checked each."""

    class Head(nn.Module):
        num_classes = 3

        def __init__(self, weights):
            super().__init__()
            self.loss_cls = nn.Module()
            self.loss_cls.class_weight = [1.0] * weights

    for weights, fits in ((4, True), (151, False)):
        model = nn.Module()
        model.decode_head = Head(weights)
        if fits:
            check_num_classes(model, Data(3))
        else:
            error = error_of(model, 3)
            assert error.startswith('model.decode_head.loss_cls.class_weight: 151 weig')
            assert 'a list of 4' in error


def test_k_net():
    model = published(KNET, **{'decode_head.kernel_generate_head.num_classes': 11})
    model.auxiliary_head = None
    for head in model.decode_head.kernel_update_head:
        head.num_classes = 11
    check_num_classes(model, Data(11))
    model.decode_head.kernel_update_head[1].num_classes = 7
    error = error_of(model, 11)
    assert error.startswith(
        'model.decode_head.kernel_update_head.1.num_classes: 7, but'
    )


def test_classifier():
    config = dict(
        type='mmpretrain.ImageClassifier',
        data_preprocessor=dict(type='mmpretrain.ClsDataPreprocessor'),
        backbone=dict(type='mmpretrain.LeNet5'),
        head=dict(type='mmpretrain.LinearClsHead', num_classes=7, in_channels=84),
    )
    model = MODELS.build(Config(config)._cfg_dict)
    check_num_classes(model, Data(7))
    assert error_of(model, 10).startswith('model.head.num_classes: 7, but')
    model.head.loss_module.class_weight = [1.0] * 5
    assert error_of(model, 7).startswith('model.head.loss.class_weight: 5 weights')
