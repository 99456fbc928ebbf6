"""A prediction before the first iteration, on its own and in trainings."""

import random

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.structures import PixelData
from torch.utils.data import Dataset

import mmkd
from mmkd.engine.config import read_config
from mmkd.engine.hooks import FirstPredictionHook
from mmkd.engine.hooks.first_prediction_hook import check_edges
from mmkd.errors import UserError
from mmkd.registry import MODELS
from tests.conftest import CLASSES, build, build_runner, network, random_batch
from tests.test_distillation.test_distill_hook import Images

PIDNET = 'mmseg::pidnet/pidnet-s_2xb6-120k_1024x1024-cityscapes.py'
DDRNET = 'mmseg::ddrnet/ddrnet_23-slim_in1k-pre_2xb6-120k_cityscapes-1024x1024.py'


class Data(Dataset):
    metainfo = dict(classes=[str(number) for number in range(CLASSES)])


class Loader:
    dataset = Data()


class Run:
    """Attributes of a Runner that the hook uses."""

    val_dataloader = Loader()

    def __init__(self, model, size=(32, 32), iteration=0, **changes):
        self.network = model
        self.first_batch = {**random_batch(1, size), **changes}
        self.iter = iteration


def predict(*args, **kwargs):
    FirstPredictionHook().before_train(Run(*args, **kwargs))


def error_of(*args, **kwargs):
    with pytest.raises(UserError) as raised:
        predict(*args, **kwargs)
    assert '\n' not in str(raised.value)
    return str(raised.value)


def published(name, **options):
    """A published network without pretrained weights, for images of any size."""
    config = read_config(name, {f'model.{key}': v for key, v in options.items()})
    config.model.backbone.init_cfg = None
    config.model.data_preprocessor.size = (64, 64)
    return MODELS.build(config.model)


@pytest.mark.parametrize('training', [True, False])
def test_changes_nothing(training):
    model = build(network()).train(training)
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    run = Run(model)
    numbers = (
        torch.get_rng_state(),
        random.getstate(),
        np.random.get_state()[1].tolist(),
    )
    FirstPredictionHook().before_train(run)
    assert run.first_batch is None  # frees the memory
    assert model.training == training
    assert all(torch.equal(state[key], v) for key, v in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    assert torch.equal(numbers[0], after[0])
    assert numbers[1:] == after[1:]


def test_nothing_to_predict():
    run = Run(None, iteration=3)  # resumed
    FirstPredictionHook().before_train(run)
    assert run.first_batch is None
    FirstPredictionHook().before_train(run)  # without validation


@pytest.mark.parametrize(('size', 'divisor'), [((60, 90), 8), ((33, 64), 2)])
def test_size_divisor(size, divisor):
    class Halves(torch.nn.Module):
        """Fails as U-Nets do where sides are odd."""

        def forward(self, x):
            for _ in range(divisor.bit_length() - 1):
                half = torch.nn.functional.avg_pool2d(x, 2)
                x = half + x[..., 0 : x.shape[-2] : 2, 0 : x.shape[-1] : 2]
            return [x.repeat(1, 22, 1, 1)[:, :64]] * 4

    config = network()
    config['decode_head'].update(in_channels=64)
    model = build(config)
    model.backbone = Halves()
    error = error_of(model, size)
    assert error.startswith('model.data_preprocessor.test_cfg: the network cannot pre')
    assert f'{(3, *size)} unless both sides are multiples of {divisor}; set' in error
    assert (
        f'dict(size_divisor={divisor}), which pads images (backbone (Halves)' in error
    )
    model.data_preprocessor.test_cfg = dict(size_divisor=divisor)
    predict(model, size)


def test_channels_of_images():
    images = [torch.zeros(4, 32, 32)]
    error = error_of(build(network()), inputs=images)
    assert error.startswith('model.data_preprocessor: ')
    assert 'one value for each of (4,) channels' in error
    model = build(network(mean=None, std=None, bgr_to_rgb=False))
    error = error_of(model, inputs=images)
    assert error.startswith('model.backbone.in_channels: the network cannot predict a ')
    assert 'of shape (4, 32, 32): backbone.stem.0 (Conv2d) raises RuntimeErr' in error
    assert error.endswith('check it; it gets 4 channels')


@pytest.mark.parametrize(
    ('change', 'key'),
    [(dict(in_channels=32), 'in_channels'), (dict(in_index=7), 'in_index')],
)
def test_head_that_does_not_match_the_backbone(change, key):
    config = network()
    config['decode_head'].update(change)
    assert error_of(build(config)).startswith(f'model.decode_head.{key}: ')


def test_outputs():
    model = build(network())
    predict(model)
    model.decode_head.conv_seg = torch.nn.Conv2d(8, 21, 1)
    error = error_of(model)
    assert 'num_classes: the head is configured for 5 outputs, but the netw' in error
    assert 'returns 21; set it to 21' in error
    error = error_of(build(network(classes=3)))
    assert error.startswith('model: the network returns 3 classes, but val_dataloader.')


def test_errors_of_the_network_itself():
    model = build(network())

    def refuse(*args, **kwargs):
        raise UserError('model.decode_head: its own message')

    model.decode_head.forward = refuse
    assert error_of(model) == 'model.decode_head: its own message'


@pytest.mark.parametrize(('name', 'divisor'), [(PIDNET, 8), (DDRNET, 8)])
def test_published_students(name, divisor):
    model = published(name, **{'decode_head.num_classes': CLASSES}).train()
    assert f'multiples of {divisor};' in error_of(model, (60, 90))
    model.data_preprocessor.test_cfg = dict(size_divisor=divisor)
    for size in ((60, 90), (71, 99)):
        predict(model, size)


def test_edges_of_pidnet():
    batch = random_batch(2)
    check_edges(build(network()), batch)
    model = published(PIDNET)
    error = r"^train_dataloader\.dataset\.pipeline: .*add dict\(type='GenerateEdge'"
    with pytest.raises(UserError, match=error):
        check_edges(model, batch)
    for sample in batch['data_samples']:
        sample.gt_edge_map = PixelData(data=torch.zeros(1, 32, 32))
    check_edges(model, batch)


class NamedImages(Images):
    """Images of a dataset that names its classes."""

    metainfo = Data.metainfo


class NoMetric(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.extend(data_samples)

    def compute_metrics(self, results):
        return dict(number=len(results))


def options_of(folder):
    loader = dict(
        dataset=NamedImages(),
        batch_size=2,
        sampler=dict(type='DefaultSampler', shuffle=True),
        collate_fn=dict(type='pseudo_collate'),
    )
    return dict(
        work_dir=str(folder),
        train_dataloader=loader,
        train_cfg=dict(by_epoch=False, max_iters=3),
        val_dataloader=dict(loader),
        val_cfg=dict(),
        val_evaluator=[NoMetric()],
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9)),
        randomness=dict(seed=0),
        experiment_name=folder.name,
    )


def train(folder, hooks=None):
    model = network()
    model['decode_head'].update(dropout_ratio=0.5)
    model = Config(dict(model=model)).model
    runner = mmkd.Runner(model, default_scope='mmseg', **options_of(folder))
    if hooks is not None:
        runner._hooks = [x for x in runner.hooks if type(x) not in hooks]
    runner.train()
    return runner


def test_training_is_the_same(tmp_path):
    """With dropout, which takes random numbers."""
    with_it = train(tmp_path / 'with')
    without = train(tmp_path / 'without', [FirstPredictionHook])
    assert with_it.first_batch is None
    assert without.first_batch is not None
    for key, value in without.model.state_dict().items():
        assert torch.equal(value, with_it.model.state_dict()[key]), key


@pytest.mark.parametrize('kind', ['plain', 'distillation'])
def test_before_the_first_iteration(tmp_path, distiller_config, kind):
    """Of a plain training and of a student."""
    options = options_of(tmp_path / kind)
    distiller_config['model']['decode_head']['in_index'] = 7
    if kind == 'plain':
        model = Config(distiller_config).model
        runner = mmkd.Runner(model, default_scope='mmseg', **options)
    else:
        runner = build_runner(distiller_config, **options)
    with pytest.raises(UserError, match=r'^model\.decode_head\.in_index: '):
        runner.train()
    assert runner.iter == 0
