"""Teachers that see the images at a resolution of their own."""

import copy
import re

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS as SEGMENTORS
from torch.nn.functional import interpolate
from torch.testing import assert_close

from mmkd.distillation.class_map import ClassMap
from mmkd.distillation.resolution import Resolution, naming_resolution
from mmkd.distillation.teacher_config import inline_teacher
from mmkd.errors import UserError
from tests.conftest import CLASSES, build, build_distiller, random_batch

TAP = 'decode_head.conv_seg'


def make(config, **options):
    config['teacher'].update(options)
    torch.manual_seed(0)
    return build_distiller(config)


def beit(window=64):
    """Config of a BEiT with a window of fixed size."""
    return dict(
        type='EncoderDecoder',
        data_preprocessor=dict(type='SegDataPreProcessor', size=(window, window)),
        backbone=dict(
            type='BEiT',
            img_size=(window, window),
            patch_size=16,
            embed_dims=16,
            num_layers=2,
            num_heads=2,
            mlp_ratio=2,
            out_indices=(1,),
            qv_bias=True,
            attn_drop_rate=0.0,
            norm_cfg=dict(type='LN', eps=1e-6),
            init_values=0.1,
        ),
        decode_head=dict(
            type='FCNHead',
            in_channels=16,
            channels=8,
            num_convs=1,
            num_classes=CLASSES,
            norm_cfg=dict(type='BN'),
            align_corners=False,
            loss_decode=dict(type='CrossEntropyLoss'),
        ),
        test_cfg=dict(
            mode='slide', crop_size=(window, window), stride=(window // 2, window // 2)
        ),
    )


@pytest.fixture
def fixed(distiller_config, tmp_path):
    """A distillation's config whose teacher is a BEiT."""
    torch.manual_seed(5)
    config = beit()
    network = build(config)
    for parameter in network.parameters():  # relative positions start at 0
        torch.nn.init.normal_(parameter, std=0.2)
    torch.save(network.state_dict(), tmp_path / 'beit.pth')
    distiller_config['teacher'] = dict(
        model=config, checkpoint=str(tmp_path / 'beit.pth')
    )
    return distiller_config


@pytest.mark.parametrize(
    ('options', 'size'),
    [
        (dict(scale=1.5), (48, 60)),
        (dict(scale=0.5), (16, 20)),
        (dict(size=(40, 24)), (40, 24)),
        (dict(size=[32, 40]), (32, 40)),
    ],
)
def test_images_are_resized_and_the_map_is_the_losses_to_resize(
    distiller_config, options, size
):
    distiller = make(distiller_config, fuse_conv_bn=False, **options)
    teacher = copy.deepcopy(distiller.teacher.model)
    inputs = torch.randn(2, 3, 32, 40)
    found = distiller.teacher.outputs(inputs, [TAP])[TAP]
    resized = interpolate(inputs, size, mode='bilinear')
    with torch.no_grad():
        expected = teacher(resized, mode='tensor')
    assert_close(found, expected)
    data = distiller.data_preprocessor(random_batch(size=(32, 32)), True)
    assert distiller.loss(**data)['distill.loss_kd'].isfinite()


@pytest.mark.parametrize('fast', [{}, dict(precision='bf16'), dict(fuse_conv_bn=False)])
def test_slides_like_mmseg(fixed, fast):
    """Also after the fast path, which is chosen on one window of the first batch."""
    distiller = make(fixed, slide=True, **fast)
    plain = SEGMENTORS.build(Config(dict(model=beit())).model).eval()
    plain.load_state_dict(torch.load(fixed['teacher']['checkpoint']))
    inputs = torch.randn(2, 3, 96, 80)
    size = inputs.shape[2:]
    metas = [dict(ori_shape=size, img_shape=size, pad_shape=size)] * 2
    with torch.no_grad():
        images = distiller.teacher.bridge(inputs)
        expected = plain.inference(images, copy.deepcopy(metas))
    tolerance = 0.05 if 'precision' in fast else 1e-5
    for _ in range(2):
        found = distiller.teacher.outputs(inputs, [TAP])[TAP]
        assert (found - expected).norm() < tolerance * expected.norm()
    batch = random_batch(size=(96, 80))
    (sample, _) = distiller.teacher.val_step(copy.deepcopy(batch))
    (other, _) = plain.val_step(copy.deepcopy(batch))
    found, expected = (x.seg_logits.data for x in (sample, other))
    assert (found - expected).norm() < tolerance * expected.norm()


@pytest.mark.parametrize('options', [dict(size=(64, 64)), dict(scale=2)])
def test_a_fixed_window_is_resized_to(fixed, options):
    distiller = make(fixed, **options)
    data = distiller.data_preprocessor(random_batch(size=(32, 32)), True)
    assert distiller.loss(**data)['distill.loss_kd'].isfinite()
    assert len(distiller.teacher.val_step(random_batch(size=(32, 32)))) == 2


@pytest.mark.parametrize('options', [{}, dict(scale=1.5), dict(slide=True)])
def test_a_fixed_window_at_another_size(fixed, options):
    distiller = make(fixed, **options)
    data = distiller.data_preprocessor(random_batch(size=(32, 32)), True)
    side = 48 if 'scale' in options else 32
    says = (
        rf'^teacher: the network fails on images of {side}x{side}: .*; if it accepts '
        r'one size only, set teacher\.size=\(64, 64\), or teacher\.slide=True'
    )
    with pytest.raises(UserError, match=says) as raised:
        distiller.loss(**data)
    assert '\n' not in str(raised.value)


def test_the_metric_is_of_the_same_size(distiller_config):
    """Predictions are those on resized images, at the size of the label."""
    distiller = make(distiller_config, size=(48, 40))
    teacher = distiller.teacher
    batch = random_batch(size=(32, 32))
    found = teacher.val_step(copy.deepcopy(batch))
    data = teacher.model.data_preprocessor(copy.deepcopy(batch), False)
    images = interpolate(data['inputs'], (48, 40), mode='bilinear')
    with torch.no_grad():
        logits = teacher.model(images, mode='tensor')
    logits = interpolate(logits, (48, 40), mode='bilinear')
    logits = interpolate(logits, (32, 32), mode='bilinear')
    for sample, expected in zip(found, logits, strict=True):
        assert_close(sample.seg_logits.data, expected)
        assert torch.equal(sample.pred_sem_seg.data[0], expected.argmax(0))
    bridged = teacher.predict(data['inputs'], copy.deepcopy(batch['data_samples']))
    assert_close(bridged[0].seg_logits.data, found[0].seg_logits.data)


def test_padding_is_removed_at_the_images_size(distiller_config):
    """As by mmseg, whatever the teacher's size."""
    distiller_config['teacher']['model']['data_preprocessor']['test_cfg'] = dict(
        size_divisor=32
    )
    distiller = make(distiller_config, scale=1.5)
    (sample,) = distiller.teacher.val_step(random_batch(1, size=(40, 56)))
    assert sample.seg_logits.data.shape == (CLASSES, 40, 56)
    distiller.teacher.resolution = Resolution()
    (plain,) = distiller.teacher.val_step(random_batch(1, size=(40, 56)))
    assert plain.seg_logits.data.shape == (CLASSES, 40, 56)


@pytest.mark.parametrize(
    ('options', 'says'),
    [
        (dict(scale=2, size=(4, 4)), 'teacher: give either scale or size'),
        (dict(scale=0), 'teacher.scale: must be a positive number, but is 0'),
        (dict(scale='2x'), "teacher.scale: must be a positive number, but is '2x'"),
        (dict(scale=float('inf')), 'teacher.scale: must be a positive number'),
        (dict(scale=True), 'teacher.scale: must be a positive number, but is True'),
        (dict(size=512), 'teacher.size: must be (height, width), two positive'),
        (dict(size=(512, 0)), 'teacher.size: must be (height, width), two positive'),
        (dict(size=(2.5, 4)), 'teacher.size: must be (height, width), two positive'),
        (dict(slide=1), 'teacher.slide: must be True or False, but is 1'),
        (dict(class_map=['a']), 'teacher.class_map: it must be a dict'),
    ],
)
def test_refuses(options, says):
    with pytest.raises(UserError, match=f'^{re.escape(says)}'):
        inline_teacher(dict(model={}, checkpoint='a.pth', **options))


def test_refuses_to_slide_without_windows(distiller_config, fixed):
    del fixed['teacher']['model']['test_cfg']['stride']
    with pytest.raises(UserError, match=r'teacher\.slide: .*test_cfg has no stride'):
        make(fixed, slide=True)


def test_refuses_to_slide_for_another_tap(fixed):
    fixed['distill_losses']['loss_kd'].update(
        student='decode_head.bottleneck', teacher='decode_head.convs.0'
    )
    with pytest.raises(UserError, match=r"teacher\.slide: .*'decode_head\.conv_seg'"):
        make(fixed, slide=True)


def test_lack_of_memory_is_no_matter_of_size():
    with (
        pytest.raises(torch.cuda.OutOfMemoryError),
        naming_resolution(torch.nn.Identity(), torch.zeros(1, 3, 4, 4)),
    ):
        raise torch.cuda.OutOfMemoryError('full')


def test_a_map_of_another_aspect_ratio(distiller_config):
    """The teacher's maps have the aspect ratio of the images that it sees."""
    distiller = make(distiller_config, size=(32, 96))
    data = distiller.data_preprocessor(random_batch(size=(32, 32)), True)
    assert distiller.loss(**data)['distill.loss_kd'].isfinite()


def test_scores_of_a_mask_classifier_are_probabilities():
    """Which have a logarithm, so that a union of classes adds them."""

    class MaskFormerHead(torch.nn.Module):
        """Named like mmseg's, which needs mmdet."""

    class Segmentor(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.decode_head = MaskFormerHead()

        def inference(self, images, metas):
            return torch.tensor([0.0, 0.0, 0.5, 0.3, 0.4]).view(1, 5, 1, 1)

    images = torch.zeros(1, 3, 4, 4)
    logits = Resolution().logits(Segmentor(), images, [{}])
    merged = ClassMap(((0, 1), (2,), (3, 4)), 5).merge(logits)
    assert merged.argmax(1).item() == 2
    assert_close(merged.exp().flatten(), torch.tensor([0.0, 0.5, 0.7]))
