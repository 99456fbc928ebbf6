"""Networks of other libraries as mmseg's segmentors and MMPretrain's classifiers."""

import copy

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.model import (
    ExponentialMovingAverage,
    convert_sync_batchnorm,
    revert_sync_batchnorm,
)
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import DefaultScope
from mmpretrain.structures import DataSample
from torch import nn
from torch.testing import assert_close

import mmkd
from mmkd.errors import UserError
from mmkd.models import TorchClassifier, TorchSegmentor
from mmkd.models.import_module import build_module
from mmkd.registry import MODELS
from tests.conftest import random_batch

from .torch_networks import CLASSES, MAPS, VECTORS, Plain

HALF = dict(mean=[0.5, 0.4, 0.3], std=[0.2, 0.3, 0.4])
SIZE = (64, 64)
PACKAGES = ('transformers', 'segmentation_models_pytorch', 'torchvision', 'timm')
PLAIN = dict(type=f'{Plain.__module__}.Plain')


def build(module=PLAIN, **arguments):
    """A segmentor, built from a config as the Runner does."""
    config = dict(type='mmkd.TorchSegmentor', module=module, **HALF)
    return MODELS.build(ConfigDict({**config, **arguments}))


def train_step(model, batch):
    """Take a step as the Runner does; returns the losses."""
    wrapper = dict(optimizer=dict(type='SGD', lr=0.01))
    model.train()
    return model.train_step(batch, build_optim_wrapper(model, wrapper))


def skip_without(module):
    for package in PACKAGES:
        if package in repr(module):
            pytest.importorskip(package)


@pytest.mark.parametrize('name', MAPS)
def test_segmentor(name, tmp_path):
    """Trains and predicts; its checkpoint loads strictly in the library itself."""
    module, output = MAPS[name]
    skip_without(module)
    torch.manual_seed(0)
    model = build(module, output=output)
    model.init_weights()
    assert train_step(model, random_batch(2, SIZE))['decode.loss_ce'] > 0
    assert model.num_classes == CLASSES

    model.eval()
    samples = model.test_step(random_batch(1, SIZE))
    assert samples[0].pred_sem_seg.data.shape == (1, *SIZE)
    assert samples[0].seg_logits.data.shape == (CLASSES, *SIZE)

    file = tmp_path / 'iter_1.pth'
    torch.save(dict(state_dict=model.state_dict()), file)
    own = build_module(module, 'model.module').eval()
    own.load_state_dict(torch.load(file)['state_dict'], strict=True)
    images = torch.randn(1, 3, *SIZE)
    with torch.no_grad():
        outputs = own(images)
        if isinstance(output, tuple):
            classes, masks = (outputs[name] for name in output)
            scores = classes.softmax(2)[..., :-1].mT @ masks.sigmoid().flatten(2)
            expected = scores.log().unflatten(2, masks.shape[2:])
        else:
            expected = outputs if output is None else outputs[output]
        assert_close(model(images), expected)


@pytest.mark.parametrize('name', VECTORS)
def test_classifier(name):
    module, output = VECTORS[name]
    skip_without(module)
    torch.manual_seed(0)
    config = dict(type='mmkd.TorchClassifier', module=module, output=output, **HALF)
    model = MODELS.build(ConfigDict(config))
    model.init_weights()
    inputs = [torch.randint(0, 256, (3, 32, 32)) for _ in range(2)]
    samples = [DataSample().set_gt_label(label) for label in (0, CLASSES - 1)]
    batch = dict(inputs=inputs, data_samples=samples)
    assert train_step(model, copy.deepcopy(batch))['loss'] > 0
    model.eval()
    (first, _) = model.test_step(batch)
    own = build_module(module, 'model.module').eval()
    own.load_state_dict(model.state_dict(), strict=True)
    image = (inputs[0].flip(0) / 255 - column('mean')) / column('std')
    with torch.no_grad():
        outputs = own(image[None])
    logits = outputs if output is None else outputs[output]
    assert_close(first.pred_score, logits[0].softmax(0))


def column(name):
    return torch.tensor(HALF[name]).view(3, 1, 1)


def test_names():
    """Under every default scope, and as attributes of mmkd."""
    assert mmkd.TorchSegmentor is TorchSegmentor
    assert mmkd.TorchClassifier is TorchClassifier
    for scope in (None, 'mmkd', 'mmseg', 'mmpretrain'):
        with DefaultScope.overwrite_default_scope(scope):
            config = dict(type='mmkd.TorchSegmentor', module=PLAIN, **HALF)
            assert isinstance(MMENGINE_MODELS.build(config), TorchSegmentor)
            loss = MODELS.build(config).decode_head.loss_decode
            assert type(loss).__module__.startswith('mmseg')


def white(model, value=255.0, **kwargs):
    """Return the input of the network for an image of a single color."""
    images = torch.tensor([value, value / 5, 0.0]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    return model.data_preprocessor(dict(inputs=images))['inputs'][0, :, 0, 0].tolist()


@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [
        (dict(input_range=1), [0, 0.2, 1]),
        (dict(channel_order='bgr'), [1, 0.2, 0]),
        (dict(input_range=255), [0, 51, 255]),
        (dict(HALF), [-0.5 / 0.2, -0.2 / 0.3, 0.7 / 0.4]),
        (dict(HALF, channel_order='bgr'), [0.5 / 0.2, -0.2 / 0.3, -0.3 / 0.4]),
        (dict(mean=[100, 50, 5], std=[2, 2, 2], input_range=255), [-50, 0.5, 125]),
        (dict(mean=[0.5], std=[0.5]), [-1, -0.6, 1]),
        (dict(data_preprocessor=dict(mean=[55.0], std=[2.0])), [100, -2, -27.5]),
        (
            dict(mean=[0.5] * 3, data_preprocessor=dict(mean=[127.5] * 3, size=(4, 4))),
            [-0.5, -0.3, 0.5],
        ),
    ],
)
def test_normalization(arguments, expected):
    for kind in (TorchSegmentor, TorchClassifier):
        options = copy.deepcopy(arguments)
        if kind is TorchClassifier and 'data_preprocessor' in options:
            options['data_preprocessor'].pop('size', None)
        layers = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        module = PLAIN if kind is TorchSegmentor else nn.Sequential(Plain(), *layers)
        model = kind(module, **options)
        assert_close(white(model), [float(value) for value in expected])


@pytest.mark.parametrize(
    ('arguments', 'error'),
    [
        ({}, 'model.mean: the normalization of the images is missing'),
        (dict(channel_order='gbr'), "model.channel_order: it must be 'rgb' or 'bgr'"),
        (dict(input_range=2), 'model.input_range: it must be 1'),
        (dict(mean=[123.0] * 3), 'model.mean: [123.0, 123.0, 123.0] is not within'),
        (dict(mean=[0.5], input_range=255), 'model.input_range: mean [0.5] and std'),
        (dict(std=[0.2], input_range=255), 'model.input_range: mean [0.0] and std'),
        (dict(mean=0.5), 'model.mean: it must be a list of numbers'),
        (dict(std=[0.0]), 'model.std: [0.0] must be positive'),
        (dict(mean=[0.5] * 3, std=[0.5] * 2), 'model.std: 2 values, but 3 in mean'),
        (
            dict(channel_order='bgr', data_preprocessor=dict(bgr_to_rgb=True)),
            'model.data_preprocessor.bgr_to_rgb: True contradicts False',
        ),
        (
            dict(mean=[0.5] * 3, data_preprocessor=dict(mean=[0.5] * 3)),
            'model.data_preprocessor.mean: [0.5, 0.5, 0.5] contradicts [127.5, ',
        ),
    ],
)
def test_invalid_normalization(arguments, error):
    with pytest.raises(UserError) as raised:
        TorchSegmentor(PLAIN, **arguments)
    assert str(raised.value).startswith(error)
    assert '\n' not in str(raised.value)


class Returns(nn.Module):
    """Returns something with its logits in it."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, images):
        logits = self.scale * images.mean(1, keepdim=True).expand(-1, CLASSES, -1, -1)
        return dict(
            tensor=logits,
            dict=dict(aux=images, out=logits),
            list=[images, logits],
            attribute=torch.return_types.max((logits, images)),
            depth=logits[:, 0],
            vector=logits.mean((2, 3)),
            channel=logits[:, :1],
        )[self.kind]


def returning(kind, output=None, **arguments):
    return TorchSegmentor(Returns(kind), output=output, **HALF, **arguments)


@pytest.mark.parametrize(
    ('kind', 'output'),
    [('tensor', None), ('dict', 'out'), ('list', -1), ('attribute', 'values')],
)
def test_output(kind, output):
    images = torch.randn(1, 3, 4, 4)
    assert returning(kind, output)(images).shape == (1, CLASSES, 4, 4)


@pytest.mark.parametrize(
    ('kind', 'output', 'error'),
    [
        ('dict', None, "the network returns a dict of 'aux', 'out'; set it to"),
        ('dict', 'logits', "'logits' is not in the outputs of the network, a dict of"),
        ('tensor', 'logits', "'logits' is not in the outputs of the network, a tensor"),
        ('list', 2, '2 is not in the outputs of the network, a list of 2'),
        ('list', None, 'the network returns a list of 2; set it to'),
        ('depth', None, 'returns a tensor of shape (1, 64, 64); a segmentor returns'),
        ('vector', None, 'returns a tensor of shape (1, 5); a segmentor returns'),
        (
            'dict',
            ('aux', 'out'),
            'the logits of classes and masks must be',
        ),
        ('dict', ['out'], 'a list must name two tensors'),
    ],
)
def test_invalid_output(kind, output, error):
    with pytest.raises(UserError, match=r'^model\.output: ') as raised:
        returning(kind, output)
    assert error in str(raised.value)
    assert '\n' not in str(raised.value)


def test_maps_of_a_classifier():
    with pytest.raises(UserError, match=r'\(1, 5, 64, 64\); .*use mmkd.TorchSegmen'):
        TorchClassifier(Returns('tensor'), **HALF)


@pytest.mark.parametrize(
    'options', [dict(decode_head=dict(num_classes=4)), dict(classes=list('abcd'))]
)
def test_other_number_of_classes(options):
    error = r'^model.decode_head.num_classes: 4 .*the network returns 5 channels'
    with pytest.raises(UserError, match=error):
        build(**options)


def test_layers_of_a_decode_head():
    with pytest.raises(UserError, match=r'^model\.decode_head: a TorchSeg'):
        build(decode_head=dict(in_channels=8))


def test_single_channel():
    """Two classes separated by a threshold of the probability."""
    head = dict(
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True), threshold=0.7
    )
    model = returning('channel', decode_head=head)
    assert train_step(model, random_batch(2, SIZE, classes=2))['decode.loss_ce'] > 0
    assert (model.num_classes, model.out_channels) == (2, 1)
    model.eval()
    (sample,) = model.test_step(random_batch(1, SIZE))
    labels = sample.seg_logits.data > 0.7
    assert (sample.pred_sem_seg.data == labels).all()


def test_options_of_the_head():
    """Are mmseg's: losses, sampler, ignored label."""
    head = dict(
        loss_decode=[
            dict(type='CrossEntropyLoss', class_weight=[1.0] * CLASSES),
            dict(type='CrossEntropyLoss', loss_name='loss_plain'),
        ],
        sampler=dict(type='OHEMPixelSampler', thresh=0.7, min_kept=10),
        ignore_index=3,
        align_corners=True,
    )
    model = build(decode_head=head)
    assert model.align_corners
    batch = random_batch(2, SIZE)
    for sample in batch['data_samples']:
        sample.gt_sem_seg.data.fill_(3)
    losses = train_step(model, batch)
    assert set(losses) >= {'decode.loss_ce', 'decode.loss_plain'}
    assert losses['decode.loss_ce'] == 0


def test_random_numbers_are_kept():
    class Noisy(Plain):
        def forward(self, images):
            return super().forward(images + torch.randn(1))

    model = TorchSegmentor(Noisy(), **HALF)
    before = torch.random.get_rng_state()
    model.try_out(model.decode_head, [(64, 64)])
    assert torch.random.get_rng_state().equal(before)


class FixedSize(Plain):
    """A network for images of a single size, which no other has."""

    def forward(self, images):
        assert images.shape[2:] == (36, 36)
        return super().forward(images)


def test_number_of_classes():
    """Found when the model is built, which does not change the network."""
    torch.manual_seed(0)
    module = nn.Sequential(Plain(), nn.Dropout()).train()
    module[0].eval()
    state = copy.deepcopy(module.state_dict())
    model = TorchSegmentor(module, **HALF)
    assert (model.num_classes, model.out_channels) == (CLASSES, CLASSES)
    assert [part.training for part in (module, *module)] == [True, False, True]
    assert_close(model.state_dict(), state)

    assert TorchSegmentor(FixedSize(), **HALF).num_classes is None
    size = dict(size=(36, 36))
    model = TorchSegmentor(FixedSize(), **HALF, data_preprocessor=size)
    assert model.num_classes == CLASSES


def test_sliding_window():
    """Predict images of another size, before the number of channels is known."""
    test_cfg = dict(mode='slide', crop_size=(36, 36), stride=(28, 28))
    model = TorchSegmentor(FixedSize(), **HALF, test_cfg=test_cfg).eval()
    model.decode_head.out_channels = None
    (sample,) = model.test_step(random_batch(1, SIZE))
    assert sample.seg_logits.data.shape == (CLASSES, *SIZE)


def test_own_initialization_is_kept(tmp_path):
    class Initialized(Plain):
        def init_weights(self):
            raise AssertionError

    module = Initialized()
    before = copy.deepcopy(module.state_dict())
    model = TorchSegmentor(module, **HALF)
    model.init_weights()
    assert_close(model.state_dict(), before)

    file = tmp_path / 'plain.pth'
    torch.save(Plain().state_dict(), file)
    for arguments in (
        dict(init_cfg=dict(type='Pretrained', checkpoint=str(file))),
        dict(pretrained=str(file)),
    ):
        model = build(**arguments)
        model.init_weights()
        assert_close(model.state_dict(), torch.load(file))


def test_average_and_synchronized_batch_normalization():
    model = build()
    average = ExponentialMovingAverage(model, momentum=0.5)
    keys = {f'module.{key}' for key in Plain().state_dict()}
    assert set(average.state_dict()) == keys | {'steps'}
    train_step(model, random_batch(2, SIZE))
    average.update_parameters(model)

    converted = convert_sync_batchnorm(model)
    assert any(isinstance(m, nn.SyncBatchNorm) for m in converted.modules())
    reverted = revert_sync_batchnorm(converted).eval()
    assert set(reverted.state_dict()) == set(Plain().state_dict())
    assert reverted(torch.zeros(1, 3, 8, 8)).shape == (1, CLASSES, 2, 2)


def test_paramwise_cfg():
    """Keys are the names of the module's own parameters."""
    module, output = MAPS['LRASPP']
    model = build(module, output=output)
    multipliers = {'backbone': dict(lr_mult=0.1), 'classifier': dict(lr_mult=10)}
    wrapper = dict(
        optimizer=dict(type='SGD', lr=1.0),
        paramwise_cfg=dict(custom_keys=multipliers),
    )
    groups = build_optim_wrapper(model, wrapper).optimizer.param_groups
    rate = {
        id(parameter): group['lr'] for group in groups for parameter in group['params']
    }
    for name, parameter in model.module.named_parameters():
        assert rate[id(parameter)] == (0.1 if name.startswith('backbone') else 10)


def test_frozen_backbone():
    """Neither its weights nor its statistics change, and it drops nothing."""
    pytest.importorskip('timm')
    module, _ = MAPS['timm ResNet']
    model = build(module)
    before = copy.deepcopy(model.state_dict())
    train_step(model, random_batch(2, SIZE))
    backbone = model.module.backbone
    assert not any(part.training for part in backbone.modules())
    changed = {k for k, v in model.state_dict().items() if not v.equal(before[k])}
    assert changed == {'head.weight', 'head.bias'}

    model = build(dict(module, frozen=False))
    before = copy.deepcopy(model.state_dict())
    train_step(model, random_batch(2, SIZE))
    first = 'backbone.conv1.0.weight'
    assert not model.state_dict()[first].equal(before[first])


def test_losses_with_weights_of_their_own():
    """Keep them when a checkpoint of the network is loaded."""
    model = build()
    model.decode_head.loss_decode.register_buffer('scale', torch.ones(1))
    result = model.load_state_dict(Plain().state_dict(), strict=True)
    assert not result.missing_keys
