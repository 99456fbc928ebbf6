import copy
import time
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmseg.models import SegDataPreProcessor
from timm.layers import BatchNormAct2d
from torch import nn
from torch.testing import assert_close

import mmkd.distillation.fast_path as fast_path
from mmkd.distillation import Teacher
from mmkd.distillation.fast_path import FastPath
from mmkd.errors import UserError
from tests.conftest import network

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.fixture
def model():
    """A segmentor whose BN do something."""
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(network())
    model.init_weights()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -1, 1)
    return model.eval().requires_grad_(False)


@pytest.fixture
def images():
    return torch.randn(2, 3, 32, 48)


def count(model, kind):
    return sum(isinstance(module, kind) for module in model.modules())


@pytest.mark.parametrize('fuse_conv_bn', [True, False])
@pytest.mark.parametrize('channels_last', [True, False])
def test_exact_levers(model, images, fuse_conv_bn, channels_last):
    expected = model(images)
    fast, report = FastPath(fuse_conv_bn, channels_last).apply(model, images)
    assert (count(fast, nn.BatchNorm2d) == 0) == fuse_conv_bn
    output = fast(images)
    assert_close(output, expected, rtol=1e-4, atol=1e-4)  # logits reach 2 to 36
    assert output.is_contiguous() != channels_last
    assert 'the same class at 100.00 % of the positions' in report
    assert not any(module.training for module in fast.modules())


def test_all_off_changes_nothing(model, images):
    fast, _ = FastPath(fuse_conv_bn=False, channels_last=False).apply(model, images)
    assert torch.equal(fast(images), model(images))


@pytest.mark.parametrize('precision', ['bf16', 'fp16'])
def test_half_precision(model, images, precision):
    expected = model(images)
    fast, report = FastPath(precision=precision).apply(model, images)
    output = fast(images)
    assert output.dtype == fast_path.HALF[precision]
    assert (output.float() - expected).norm() < 0.05 * expected.norm()
    assert f'Teacher in {precision}: ' in report


@pytest.mark.parametrize('fastest', ['fp32', 'bf16'])
def test_auto_takes_the_fastest(model, images, fastest):
    """Whatever it is: here a layer that takes long in the other precision."""

    def delay(layer, inputs):
        if (inputs[0].dtype == torch.bfloat16) != (fastest == 'bf16'):
            time.sleep(1)

    model.decode_head.conv_seg.register_forward_pre_hook(delay)
    fast, report = FastPath(precision='auto').apply(model, images)
    assert f'Teacher in {fastest}: ' in report
    assert (fast(images).dtype == torch.bfloat16) == (fastest == 'bf16')


@pytest.mark.parametrize('precision', ['fp32', 'bf16', 'auto'])
def test_weights_that_overflow_are_not_a_matter_of_precision(model, images, precision):
    layer = model.decode_head.conv_seg
    nn.init.constant_(layer.weight, 3e38)
    with pytest.raises(UserError) as raised:
        FastPath(precision=precision).apply(model, images)
    assert "teacher: the output of 'decode_head.conv_seg' (the" in str(raised.value)
    assert 'precision' not in str(raised.value)


def test_images_that_are_not_finite(model, images):
    images[0, 0, 0, 0] = torch.nan
    with pytest.raises(UserError, match=r'^teacher: its input images contain'):
        FastPath(precision='bf16').apply(model, images)


class Shared(nn.Module):
    """A BN that does not follow the convolution before it, though it is listed so."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.bn = nn.BatchNorm2d(4)

    def forward(self, images, mode='tensor'):
        features = self.conv(images)
        return self.bn(features.relu()) + features


class Activated(nn.Sequential):
    """Batch normalizations with activation, the first one without convolution."""

    def __init__(self):
        first, second = BatchNormAct2d(3), BatchNormAct2d(4, act_layer=nn.SiLU)
        super().__init__(first, nn.Conv2d(3, 4, 1), second, nn.Conv2d(4, 4, 1))

    def forward(self, images, mode='tensor'):
        return super().forward(images)


def test_folding_keeps_activations_of_batch_normalizations(images):
    model = Activated().eval().requires_grad_(False)
    nn.init.uniform_(model[2].running_mean, -1, 1)
    expected = model(images)
    fast, report = FastPath().apply(copy.deepcopy(model), images)
    assert isinstance(fast[2], nn.SiLU)
    assert isinstance(fast[0], BatchNormAct2d)
    assert 'fuse_conv_bn' not in report
    assert_close(fast(images), expected)


@pytest.mark.parametrize('bias', [1, 0.01])
def test_folding_that_would_change_the_output_is_undone(images, bias):
    """Also where the change is small, about 1 %."""
    model = Shared().eval().requires_grad_(False)
    nn.init.uniform_(model.bn.bias, bias, 2 * bias)
    expected = model(images)
    fast, report = FastPath().apply(copy.deepcopy(model), images)
    assert count(fast, nn.BatchNorm2d) == 1
    assert report.endswith('; without fuse_conv_bn, which is not exact here')
    assert_close(fast(images), expected)


def test_folding_that_would_change_a_tap_is_undone(model, images):
    tap = next(name for name, m in model.named_modules() if isinstance(m, nn.Conv2d))
    fast, _ = FastPath().apply(copy.deepcopy(model), images, [tap])
    assert count(fast, nn.BatchNorm2d) > 0
    fast, _ = FastPath().apply(model, images, ['decode_head.conv_seg'])
    assert count(fast, nn.BatchNorm2d) == 0


@pytest.mark.parametrize('name', ['wrn_16_2', 'resnet20', 'vgg8', 'shufflenet_v2'])
def test_cifar_networks(name):
    """The last BN of a wide ResNet follows no convolution that is listed beside it."""
    path = CONFIGS / f'cifar100/{name}_1xb64-240e_cifar100.py'
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(Config.fromfile(path).model).eval()
    images = torch.randn(2, 3, 32, 32)
    expected = model(images)
    fast, _ = FastPath().apply(model, images, ['head.fc'])
    assert_close(fast(images), expected, rtol=1e-3, atol=1e-4)


class Viewing(nn.Module):
    """Needs contiguous maps, as DMNet and VGG do, or gives others for NHWC ones."""

    def __init__(self, raises):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.raises = raises

    def forward(self, images, mode='tensor'):
        maps = self.conv(images)
        if self.raises:
            return maps.view(len(images), -1, 1, 1)
        return maps * (1 if maps.is_contiguous() else 1.01)


@pytest.mark.parametrize('raises', [True, False])
@pytest.mark.parametrize('precision', ['fp32', 'auto'])
def test_without_nhwc_where_it_is_not_exact(images, raises, precision):
    model = Viewing(raises).eval().requires_grad_(False)
    expected = model(images)
    fast, report = FastPath(precision=precision).apply(model, images)
    assert report.endswith('; without channels_last, which is not exact here')
    assert_close(fast(images).float(), expected, rtol=0.02, atol=0.02)


class Overflowing(nn.Module):
    """Finite in float32, infinite in float16."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, images, mode='tensor'):
        return self.conv(images) * 1e6


def test_overflow_is_refused(images):
    with pytest.raises(UserError, match=r'^teacher\.precision: .*not finite'):
        FastPath(precision='fp16').apply(Overflowing().eval(), images)


class OnlyFloat32(Overflowing):
    """A layer that takes no other precision."""

    def forward(self, images, mode='tensor'):
        return self.conv(self.conv(images)[:, :3] + torch.ones(1))


def test_auto_leaves_out_what_does_not_run(images):
    fast, report = FastPath(precision='auto').apply(OnlyFloat32().eval(), images)
    assert 'Teacher in fp32: ' in report
    assert fast(images).dtype == torch.float32


def test_all_processes_take_the_same(monkeypatch):
    """Candidates infinite on another process are excluded; rank 0 decides."""
    found = dict(fp32=(None, [torch.ones(2)], 3.0), bf16=(None, [torch.ones(2)], 2.0))
    monkeypatch.setattr(fast_path, 'all_reduce', lambda fine, op: fine[1:].fill_(0))
    assert fast_path._fastest(['fp32', 'bf16'], found, 'cpu') == 'fp32'

    def of_rank_0(best):
        best[0] = 'bf16'

    monkeypatch.setattr(fast_path, 'broadcast_object_list', of_rank_0)
    assert fast_path._fastest(['fp32', 'bf16'], found, 'cpu') == 'bf16'


@pytest.mark.parametrize(
    ('compile', 'options'),
    [
        (True, [{}]),
        ('reduce-overhead', [dict(mode='reduce-overhead')]),
        (False, []),
    ],
)
def test_compiles_the_backbone(model, images, monkeypatch, compile, options):
    compiled = []
    monkeypatch.setattr(
        nn.Module, 'compile', lambda self, **options: compiled.append((self, options))
    )
    fast, _ = FastPath(compile=compile).apply(model, images)
    assert compiled == [(fast.backbone, each) for each in options]


@pytest.mark.parametrize('tap', ['decode_head.conv_seg', 'backbone'])
def test_cuda_graphs(teacher_config, device, tap):
    """The kernels stay the same; outputs outlive the next run."""
    batches = [torch.randn(2, 3, 32, 32, device=device) for _ in range(4)]
    plain = Teacher(teacher_config, SegDataPreProcessor()).to(device)
    expected = [plain.outputs(images, [tap])[tap] for images in batches]
    teacher_config['compile'] = 'cudagraphs'
    graphs = Teacher(teacher_config, SegDataPreProcessor()).to(device)
    found = [graphs.outputs(images, [tap])[tap] for images in batches]
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_the_time_is_the_fastest_run(images, monkeypatch):
    clock = iter([0.0, 5.0, 10.0, 11.0])
    monkeypatch.setattr(fast_path.time, 'perf_counter', lambda: next(clock))
    assert fast_path._run(Overflowing(), images, [])[1] == 1.0


def test_reports_another_class():
    """Three of four positions agree."""
    plain = torch.eye(4)[None]
    fast = plain.clone()
    fast[0, :, 0] = torch.tensor([0.0, 1.0, 0.0, 0.0])
    report = fast_path._agreement([fast], [plain])
    assert report == 'the same class at 75.00 % of the positions'


def test_one_infinite_tap_is_enough():
    finite, infinite = torch.ones(2), torch.tensor([1.0, torch.inf])
    assert fast_path._finite([finite, finite])
    assert not fast_path._finite([finite, infinite])


def test_autocast_does_not_reach_the_teacher(teacher_config):
    teacher = Teacher(teacher_config, SegDataPreProcessor())
    images = torch.randn(2, 3, 32, 32)
    with torch.autocast('cpu', torch.bfloat16):
        outputs = teacher.outputs(images, ['decode_head.conv_seg'])
    assert outputs['decode_head.conv_seg'].dtype == torch.float32


@pytest.mark.parametrize(
    ('options', 'says'),
    [
        (dict(precision='int8'), r'precision must be'),
        (dict(compile='fast'), r"compile must be .*'cudagraphs', not 'fast'"),
        (dict(overlap=1.5), r'overlap must be True or False, not 1\.5'),
        (dict(fuse_conv_bn='no'), r"fuse_conv_bn must be True or False, not 'no'"),
        (dict(channels_last=1), r'channels_last must be True or False, not 1'),
        (dict(overlap=True, compile='cudagraphs'), r'overlap: CUDA graphs do not'),
    ],
)
def test_refuses_another_value(options, says):
    with pytest.raises(UserError, match=rf'^teacher\.{says}'):
        FastPath(**options)
