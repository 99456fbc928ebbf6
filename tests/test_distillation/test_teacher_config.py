import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.models import SegDataPreProcessor
from torch import nn

from mmkd.distillation import Teacher
from mmkd.distillation.teacher_config import inline_teacher, without_pretraining
from mmkd.errors import UserError
from mmkd.registry import MODELS
from tests.conftest import network


@pytest.fixture
def config_file(tmp_path, teacher_config):
    model = dict(teacher_config['model'], pretrained='torchvision://resnet18')
    model['backbone']['init_cfg'] = dict(type='Pretrained', checkpoint='nowhere.pth')
    preprocessor = model.pop('data_preprocessor')
    config = dict(default_scope='mmseg', model=model, data_preprocessor=preprocessor)
    Config(config).dump(tmp_path / 'teacher.py')
    return tmp_path / 'teacher.py'


def test_inlines_a_config_file(config_file):
    teacher = inline_teacher(dict(config=str(config_file), checkpoint='x.pth'))
    assert set(teacher) == {'model', 'checkpoint'}
    assert teacher['model']['_scope_'] == 'mmseg'
    assert teacher['model']['data_preprocessor']['type'] == 'SegDataPreProcessor'
    assert 'pretrained' not in teacher['model']
    assert 'init_cfg' not in teacher['model']['backbone']


def test_finds_the_file_beside_the_running_config(config_file, monkeypatch):
    config = dict(config='teacher.py', checkpoint='x.pth')
    inline_teacher(config, config_file.parent)
    with pytest.raises(UserError, match=r"teacher\.config: 'teacher\.py'"):
        inline_teacher(config)
    monkeypatch.chdir(config_file.parent)
    inline_teacher(config)


def test_finds_the_checkpoint_beside_the_running_config(config_file):
    checkpoint = config_file.with_name('weights.pth')
    checkpoint.touch()
    config = dict(config='teacher.py', checkpoint='weights.pth')
    found = inline_teacher(config, config_file.parent)
    assert found['checkpoint'] == str(checkpoint)
    config['checkpoint'] = 'https://example.org/weights.pth'
    assert inline_teacher(config, config_file.parent)['checkpoint'].startswith('https')


def test_inlining_twice_changes_nothing(config_file):
    once = inline_teacher(dict(config=str(config_file), checkpoint='x.pth'))
    assert inline_teacher(once) == once


@pytest.mark.parametrize('base', ['method', 'distillation'])
def test_a_distillation_as_a_teacher(config_file, base):
    """Its network is its student, whose checkpoints are plain ones."""
    student = config_file.with_name('student.py')
    text = "_base_ = ['teacher.py', 'mmkd::methods/bdd_ls.py']\n"
    if base == 'distillation':
        text += "teacher = dict(config='gone.py', checkpoint='gone.pth')\n"
    student.write_text(text)
    inlined = inline_teacher(dict(config=str(student), checkpoint='x.pth'))
    assert inlined == inline_teacher(dict(config=str(config_file), checkpoint='x.pth'))


@pytest.mark.parametrize(
    'name',
    [
        'mmseg::segformer/segformer_mit-b0_8xb1-160k_cityscapes-1024x1024.py',
        'mmpretrain::resnet/resnet18_8xb32_in1k.py',
    ],
)
def test_a_config_of_a_package(name):
    model = inline_teacher(dict(config=name, checkpoint='x.pth'))['model']
    assert model['data_preprocessor']['mean'][0] == 123.675
    assert 'init_cfg' not in model['backbone']
    with DefaultScope.overwrite_default_scope('mmkd'):
        network = MODELS.build(model)
    assert type(network).__module__.startswith(name.partition('::')[0])


@pytest.mark.parametrize('checkpoint_path', ['', 'gone.pth'])
@pytest.mark.parametrize(
    'kind',
    ['mmseg.TIMMBackbone', 'mmpretrain.TIMMBackbone', 'mmpretrain.TimmClassifier'],
)
def test_timm_downloads_nothing(kind, checkpoint_path):
    timm = pytest.importorskip('timm')
    node = dict(type=kind, model_name='resnet18', checkpoint_path=checkpoint_path)
    asked = []

    def create_model(*args, pretrained=False, **kwargs):
        asked.append((pretrained, kwargs.get('checkpoint_path', '')))
        return torch.nn.Identity()

    with pytest.MonkeyPatch.context() as patch:
        for module in (timm, timm.models):
            patch.setattr(module, 'create_model', create_model)
        for pretrained in ({}, dict(pretrained=True), dict(pretrained=False)):
            teacher = dict(model=dict(node, **pretrained), checkpoint='x.pth')
            MODELS.build(inline_teacher(teacher)['model'])
    assert asked == [(False, '')] * 3


INNER = "type='BaseSegDataset', reduce_zero_label={}"


@pytest.mark.parametrize(
    ('dataset', 'expected'),
    [
        (f'dict({INNER.format(True)})', True),
        (f"dict(type='RepeatDataset', dataset=dict({INNER.format(True)}))", True),
        (f"dict(type='ConcatDataset', datasets=[dict({INNER.format(True)})])", True),
        ("dict(type='ADE20KDataset')", True),
        ("dict(type='mmseg.ADE20KDataset', reduce_zero_label=False)", False),
        ("dict(type='CityscapesDataset')", False),
        ("dict(type='mmkd.CamVidDataset')", False),
        ("dict(type='ConcatDataset', datasets=[])", None),
        ("dict(type='Gone')", None),
        ("dict(type='mmpretrain.CIFAR100')", None),
    ],
)
def test_label_zero_of_the_teachers_dataset(config_file, dataset, expected):
    with config_file.open('a') as file:
        file.write(f'\ntrain_dataloader = dict(dataset={dataset})\n')
    teacher = dict(config=str(config_file), checkpoint='x.pth')
    assert inline_teacher(teacher).get('reduce_zero_label') == expected
    given = dict(teacher, reduce_zero_label=None)
    assert inline_teacher(given)['reduce_zero_label'] is None


def test_label_zero_of_the_teachers_checkpoint(teacher_config):
    path = teacher_config['checkpoint']
    meta = dict(dataset_meta=dict(reduce_zero_label=True))
    torch.save(dict(torch.load(path), meta=meta), path)
    assert Teacher(teacher_config, SegDataPreProcessor()).reduces_zero_label is True
    teacher_config['reduce_zero_label'] = False
    assert Teacher(teacher_config, SegDataPreProcessor()).reduces_zero_label is False


def test_prefix(teacher_config):
    """Of MMRazor's checkpoints, which contain both networks."""
    path = teacher_config['checkpoint']
    state = torch.load(path)['state_dict']
    both = {
        f'{name}.{k}': v for name in ('architecture', 'other') for k, v in state.items()
    }
    torch.save(dict(state_dict=both), path)
    with pytest.raises(UserError, match=r"teacher\.prefix='architecture\.'$"):
        Teacher(teacher_config, SegDataPreProcessor())
    config = inline_teacher(dict(teacher_config, prefix='architecture'))
    teacher = Teacher(config, SegDataPreProcessor())
    assert torch.equal(
        teacher.model.state_dict()['decode_head.conv_seg.weight'],
        state['decode_head.conv_seg.weight'],
    )


@pytest.mark.parametrize(
    ('teacher', 'says'),
    [
        (dict(config='a.py'), r'teacher\.checkpoint: .*path or URL'),
        (dict(checkpoint='a.pth'), 'either config'),
        (dict(checkpoint='a.pth', config='a.py', model={}), 'either config'),
        (dict(checkpoint='a.pth', config='a.py', cfg='a'), 'unknown key cfg'),
        (dict(checkpoint='a.pth', model={}, clas_map={'a': 0}), 'unknown key clas_map'),
        (
            dict(checkpoint='a', config='mmseg::vpd/vpd_sd_4xb8-25k_nyu-480x480.py'),
            r'^teacher\.model: a DepthEstimator outputs depths',
        ),
        (dict(checkpoint='a.pth', model={}, prefix=3), r'teacher\.prefix: .*not 3'),
    ],
)
def test_refuses(teacher, says):
    with pytest.raises(UserError, match=says):
        inline_teacher(teacher)


@pytest.mark.parametrize('kind', [AssertionError, ImportError, RuntimeError, TypeError])
def test_a_network_that_cannot_be_built(teacher_config, kind):
    """As without mmdet, or the compiled operators of mmcv."""

    class Failing(nn.Module):
        def __init__(self, **options):
            raise kind('Please install\nmore')

    teacher_config['model']['type'] = Failing
    message = (
        r'^teacher\.model, .* teacher\.config: the network cannot be built '
        rf'\({kind.__name__}: Please install more\)'
    )
    with pytest.raises(UserError, match=message):
        Teacher(teacher_config, SegDataPreProcessor())


def test_refuses_weights_of_another_network(teacher_config):
    teacher_config['model'] = network(width=8)
    with pytest.raises(UserError, match=r'teacher\.checkpoint: .*another shape'):
        Teacher(teacher_config, SegDataPreProcessor())


@pytest.mark.parametrize('value', [torch.nan, torch.inf])
@pytest.mark.parametrize('precision', ['fp32', 'fp16'])
def test_refuses_weights_that_are_not_finite(teacher_config, value, precision):
    path = teacher_config['checkpoint']
    checkpoint = torch.load(path)
    name = 'decode_head.conv_seg.weight'
    checkpoint['state_dict'][name].view(-1)[0] = value
    torch.save(checkpoint, path)
    with pytest.raises(UserError) as raised:
        Teacher(dict(teacher_config, precision=precision), SegDataPreProcessor())
    error = str(raised.value)
    assert error.startswith(f"teacher.checkpoint: '{path}' has NaN or infinite weights")
    assert f'in 1 of {len(checkpoint["state_dict"])} tensors ({name})' in error
    assert 'precision' not in error


def test_builds_what_the_checkpoint_holds(teacher_config):
    teacher = Teacher(teacher_config, SegDataPreProcessor())
    state = torch.load(teacher_config['checkpoint'])['state_dict']
    for name, value in teacher.model.state_dict().items():
        assert torch.equal(value, state[name]), name


@pytest.mark.parametrize(
    'meta', [dict(dataset_meta=dict(classes=('a', 'b'))), dict(CLASSES=('a', 'b'))]
)
def test_knows_the_classes_it_was_trained_on(teacher_config, meta):
    path = teacher_config['checkpoint']
    torch.save(dict(torch.load(path), meta=meta), path)
    assert Teacher(teacher_config, SegDataPreProcessor()).classes == ('a', 'b')


def test_weights_of_other_libraries_are_not_chosen():
    """Since the checkpoint overwrites them; elsewhere these keys have other uses."""
    module = dict(
        type='a.b', weights='DEFAULT', encoder_weights='imagenet', part=dict(weights=1)
    )
    model = dict(type='mmkd.TorchSegmentor', module=module, decode_head=dict(weights=2))
    assert without_pretraining(model) == dict(
        type='mmkd.TorchSegmentor',
        module=dict(type='a.b', part={}),
        decode_head=dict(weights=2),
    )
