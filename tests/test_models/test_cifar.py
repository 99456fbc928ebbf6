from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmpretrain.structures import DataSample

from mmkd.models import (
    CIFARVGG,
    CIFARMobileNetV2,
    CIFARResNet,
    CIFARShuffleNetV2,
    CIFARWideResNet,
)

CIFAR100 = Path(__file__).parents[2] / 'configs/cifar100'
RECIPE = '_1xb64-240e_cifar100.py'
PARAMETERS = {
    'resnet20': 278324,
    'resnet32': 472756,
    'resnet56': 861620,
    'resnet110': 1736564,
    'resnet8x4': 1233540,
    'resnet32x4': 7433860,
    'resnet50': 23705252,
    'wrn_16_2': 703284,
    'wrn_40_1': 569780,
    'wrn_40_2': 2255156,
    'vgg8': 3965028,
    'vgg13': 9462180,
    'mobilenet_v2': 812836,
    'shufflenet_v2': 1355528,
}
OURS = {  # a small one of each, its channels and how many times smaller its map is
    CIFARResNet: (dict(depth=8), 64, 4),
    CIFARWideResNet: (dict(depth=10, widen_factor=2), 128, 4),
    CIFARVGG: (dict(depth=8), 512, 8),
    CIFARMobileNetV2: (dict(widen_factor=0.25), 1280, 16),
    CIFARShuffleNetV2: (dict(widen_factor=0.5), 1024, 8),
}


@pytest.fixture(autouse=True)
def _mmpretrain_scope():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


def test_there_is_a_base_for_each():
    assert sorted(PARAMETERS) == sorted(
        path.name.removesuffix(RECIPE) for path in CIFAR100.glob('*.py')
    )


@pytest.mark.parametrize('name', PARAMETERS)
def test_base(name):
    """A classifier of the published size, whose parts fit."""
    config = Config.fromfile(CIFAR100 / f'{name}{RECIPE}').model
    model = MODELS.build(config)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, 100)
    channels = getattr(model.backbone, 'out_channels', 2048)
    assert config.head.in_channels == channels


@pytest.mark.parametrize('backbone', OURS)
class TestBackbone:
    def test_gives_its_last_map(self, backbone):
        arguments, channels, stride = OURS[backbone]
        model = backbone(**arguments)
        assert model.out_channels == channels
        for size in (32, 64):
            (features,) = model(torch.randn(2, 3, size, size))
            assert features.shape == (2, channels, size // stride, size // stride)
            assert features.min() == 0  # past its last ReLU

    def test_learns(self, backbone):
        """Every parameter gets a gradient of MMPretrain's loss."""
        arguments, channels, _ = OURS[backbone]
        config = Config.fromfile(CIFAR100 / f'vgg8{RECIPE}').model
        config.backbone = dict(type=f'mmkd.{backbone.__name__}', **arguments)
        config.head.in_channels = channels
        model = MODELS.build(config)
        model.init_weights()
        samples = [DataSample().set_gt_label(label) for label in (3, 99)]
        losses = model(torch.randn(2, 3, 32, 32), samples, mode='loss')
        losses['loss'].backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name

    def test_starts_as_the_literature_has_it(self, backbone):
        arguments, *_ = OURS[backbone]
        model = backbone(**arguments)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model.init_weights()
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                assert (module.weight == 1).all()
                assert (module.bias == 0).all()
            elif isinstance(module, torch.nn.Conv2d) and module.weight.numel() > 5000:
                weight = module.weight.detach()
                fan_out = weight[:, 0].numel()
                variance, bound = 2 / fan_out, weight[0].numel() ** -0.5
                if backbone is CIFARShuffleNetV2:  # PyTorch's uniform one
                    variance = bound**2 / 3
                    assert weight.abs().max() <= bound
                else:
                    assert weight.abs().max() > 3 * variance**0.5
                assert weight.var() == pytest.approx(variance, rel=0.1)

    def test_pretrained(self, backbone, tmp_path):
        """Pretrained weights are given with ``init_cfg``."""
        arguments, *_ = OURS[backbone]
        trained = backbone(**arguments)
        torch.save(trained.state_dict(), tmp_path / 'a.pth')
        config = dict(type='Pretrained', checkpoint=str(tmp_path / 'a.pth'))
        model = backbone(**arguments, init_cfg=config)
        model.init_weights()
        for key, value in model.state_dict().items():
            assert torch.equal(value, trained.state_dict()[key])


@pytest.mark.parametrize(
    ('backbone', 'arguments', 'expected'),
    [
        (CIFARResNet, dict(depth=18), 'depth must be 6n + 2 (8, 14, 20, ...), but is'),
        (CIFARResNet, dict(depth=2), 'depth must be 6n + 2'),
        (CIFARWideResNet, dict(depth=18), 'depth must be 6n + 4 (10, 16, 22, ...)'),
        (CIFARWideResNet, dict(depth=4), 'depth must be 6n + 4'),
        (CIFARWideResNet, dict(depth=16, widen_factor=0), 'widen_factor must be 1, 2'),
        (CIFARWideResNet, dict(depth=16, widen_factor=1.5), 'widen_factor must be 1'),
        (CIFARVGG, dict(depth=12), 'depth must be one of 8, 11, 13, 16, 19, but is 12'),
        (CIFARMobileNetV2, dict(widen_factor=0.05), 'widen_factor must be >= 1/16'),
        (CIFARShuffleNetV2, dict(widen_factor=0.7), 'widen_factor must be one of 0.5'),
    ],
)
def test_impossible(backbone, arguments, expected):
    with pytest.raises(ValueError, match='must be') as raised:
        backbone(**arguments)
    assert expected in str(raised.value)
