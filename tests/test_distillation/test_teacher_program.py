import copy

import pytest
import torch
from mmseg.models import SegDataPreProcessor

from mmkd.distillation import Teacher
from mmkd.distillation.teacher_config import inline_teacher
from mmkd.errors import UserError
from tests.test_models.programs import Nested, export, network, write_onnx

pytestmark = pytest.mark.filterwarnings('ignore')  # of TorchScript itself
NORMALIZATION = dict(mean=[0.5] * 3, std=[0.25] * 3, channel_order='bgr')
SWITCH = r'set teacher\.allow_code=True'


def teacher_for(path, output=None, key='teacher', **options):
    model = dict(type='mmkd.TorchSegmentor', output=output, **NORMALIZATION)
    teacher = inline_teacher(dict(model=model, checkpoint=str(path), **options))
    assert inline_teacher(teacher) == teacher
    return Teacher(teacher, SegDataPreProcessor(), key)


@pytest.fixture
def images():
    return 255 * torch.rand(3, 3, 16, 16)


class Twice(torch.nn.Module):
    def forward(self, images):
        return 2 * images


@pytest.mark.parametrize('precision', ['fp32', 'bf16', 'auto'])
@pytest.mark.parametrize('kind', ['pt2', 'onnx', 'pt', 'pt2 with the switch'])
def test_logits(tmp_path, images, kind, precision):
    """Whatever the options, those of the network, with its own normalization."""
    suffix, _, switch = kind.partition(' ')
    path = tmp_path / f'a.{suffix}'
    if suffix == 'onnx':
        net = Twice()
        write_onnx(path)
    elif suffix == 'pt':
        net = network().conv
        torch.jit.save(torch.jit.script(net), path)
    else:
        net = export(path, size=(2, 3, 16, 16), dynamic=(0,))
    options = dict(allow_code=True) if switch or suffix == 'pt' else {}
    teacher = teacher_for(path, precision=precision, fuse_conv_bn=True, **options)
    found = teacher.outputs(images, ['module'])['module']
    with torch.no_grad():
        expected = net((images / 255 - 0.5) / 0.25)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert copy.deepcopy(teacher) is teacher
    assert teacher.predict(images)[0].pred_sem_seg.data.shape == (1, 16, 16)
    assert not teacher.model.state_dict()
    assert not list(teacher.model.parameters())


@pytest.mark.parametrize('output', ['out', 0])
def test_one_of_several_outputs(tmp_path, images, output):
    net = export(tmp_path / 'a.pt2', network(Nested), (2, 3, 16, 16), (0,))
    teacher = teacher_for(tmp_path / 'a.pt2', output)
    with torch.no_grad():
        found = teacher.model(teacher.bridge(images), mode='tensor')
        expected = net((images / 255 - 0.5) / 0.25)['out']
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('key', ['teacher', 'teacher.fine'])
def test_another_size(tmp_path, images, key):
    export(tmp_path / 'a.pt2')
    teacher = teacher_for(tmp_path / 'a.pt2', key=key)
    with pytest.raises(UserError, match=rf'set {key}\.size=\(8, 12\)'):
        teacher.outputs(images, ['module'])


def test_what_is_ignored(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmkd.distillation.teacher_program.print_log',
        lambda text, *args: said.append(text),
    )
    write_onnx(tmp_path / 'a.onnx')
    teacher_for(tmp_path / 'a.onnx', precision='bf16', channels_last=False)
    assert said == ['teacher: precision ignored, since a program runs as exported']


@pytest.mark.parametrize('name', ['a.pt', 'a.pth', 'a.ts'])
def test_torchscript_without_the_switch(tmp_path, name):
    torch.jit.save(torch.jit.script(Twice()), tmp_path / name)
    with pytest.raises(UserError, match=f'{name}.*TorchScript can execute.*{SWITCH}'):
        teacher_for(tmp_path / name)


@pytest.mark.parametrize(
    ('model', 'options', 'says'),
    [
        (dict(type='mmseg.EncoderDecoder'), {}, r'checkpoint: .* is a program'),
        (
            dict(type='mmkd.TorchSegmentor', module=dict(type='torch.nn.Identity')),
            {},
            r'checkpoint: .* is a program, not the weights of teacher\.model',
        ),
        (
            dict(type='mmseg.EncoderDecoder'),
            dict(allow_code=True, checkpoint='a.pth'),
            r'allow_code: only TorchSegmentor and TorchClassifier',
        ),
    ],
)
def test_contradictory_keys(model, options, says):
    with pytest.raises(UserError, match=rf'^teacher\.{says}'):
        inline_teacher({'model': model, 'checkpoint': 'a.onnx', **options})


def test_the_switch_is_for_the_network_too():
    """Such as one of torch.hub."""
    model = dict(type='mmkd.TorchSegmentor', module=dict(type='torch.hub.load'))
    teacher = dict(model=model, checkpoint='a.pth', allow_code=True)
    assert inline_teacher(teacher)['model']['allow_code'] is True
