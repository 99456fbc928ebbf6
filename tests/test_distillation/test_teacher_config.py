import pytest
import torch
from mmengine.config import Config
from mmseg.models import SegDataPreProcessor

from mmkd.distillation import Teacher
from mmkd.distillation.teacher_config import inline_teacher, without_pretraining
from mmkd.errors import UserError
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


@pytest.mark.parametrize(
    ('teacher', 'says'),
    [
        (dict(config='a.py'), r'teacher\.checkpoint: .*path or URL'),
        (dict(checkpoint='a.pth'), 'either config'),
        (dict(checkpoint='a.pth', config='a.py', model={}), 'either config'),
        (dict(checkpoint='a.pth', config='a.py', cfg='a'), 'unknown key cfg'),
    ],
)
def test_refuses(teacher, says):
    with pytest.raises(UserError, match=says):
        inline_teacher(teacher)


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
