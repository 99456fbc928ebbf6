"""Networks built from import paths, and objects that are refused."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from mmkd.errors import UserError
from mmkd.models.import_module import build_module

KEY = 'model.module'
CONV = dict(in_channels=3, out_channels=2, kernel_size=1)


def unannotated(**arguments):
    return nn.Identity()


def annotated(weights='imagenet', other=1) -> nn.Identity:
    """A function that would download weights by default."""
    network = nn.Identity()
    network.given = weights, other
    return network


class Network(nn.Module):
    def __init__(self, part=None, parts=(), pretrained=True):
        super().__init__()
        self.part, self.parts, self.pretrained = part, parts, pretrained

    @classmethod
    def from_pretrained(cls, path, local_files_only=False, **arguments):
        network = cls()
        network.given = path, local_files_only, arguments
        return network

    @classmethod
    def load(cls, path):
        raise AssertionError


HERE = Network.__module__


def test_class_and_its_parts():
    conv = dict(type='torch.nn.Conv2d', **CONV)
    config = dict(type=f'{HERE}.Network', part=conv, parts=[conv, 3])
    network = build_module(config, KEY)
    assert isinstance(network.part, nn.Conv2d)
    assert isinstance(network.parts[0], nn.Conv2d)
    assert network.parts[1] == 3
    assert isinstance(build_module(dict(type=nn.Conv2d, **CONV), KEY), nn.Conv2d)


def test_nothing_is_downloaded_by_default():
    assert build_module(dict(type=f'{HERE}.annotated'), KEY).given == (None, 1)
    asked = dict(type=f'{HERE}.annotated', weights='mine')
    assert build_module(asked, KEY).given == ('mine', 1)
    assert build_module(dict(type=f'{HERE}.Network'), KEY).pretrained is None
    loaded = build_module(dict(type=f'{HERE}.Network.from_pretrained', path='a'), KEY)
    assert loaded.given == ('a', True, {})


@pytest.mark.parametrize(
    ('path', 'error'),
    [
        ('absent.Net', 'cannot be imported, as there is no package'),
        ('torch.nn.Conv2', 'torch.nn has no .Conv2.; did you mean Conv2d'),
        ('torch.absent.Net', 'torch has no .absent.'),
        (None, 'it must be an import path'),
        (f'{HERE}.unannotated', 'is refused'),
        (f'{HERE}.Network.load', 'is refused'),
        (f'{HERE}.HERE', 'is refused'),
        ('os.system', 'is refused'),
        ('subprocess.Popen', 'is refused'),
        ('torch.load', 'is refused'),
        ('torch.hub.load', 'is refused'),
        ('torch.jit.load', 'is refused'),
        ('torch.fx.graph_module.reduce_graph_module', 'is refused'),
        ('.Net', 'it must be an import path'),
        ('', 'it must be an import path'),
        ('nets/net.py', 'it must be an import path'),
    ],
)
def test_refused(path, error):
    with pytest.raises(UserError, match=rf'^model\.module\.type: .*{error}') as raised:
        build_module(dict(type=path), KEY)
    assert '\n' not in str(raised.value)


@pytest.mark.parametrize(
    ('argument', 'key'),
    [
        (dict(part=dict(type='os.mkdir', path='made')), 'model.module.part.type'),
        (dict(part=[dict(a=dict(type='os.mkdir'))]), 'model.module.part.0.a.type'),
        (dict(trust_remote_code=True), 'model.module.trust_remote_code'),
        (dict(use_kernels=True), 'model.module.use_kernels'),
        (dict(attn_implementation='a/kernel'), 'model.module.attn_implementation'),
        (
            dict(config=dict(_attn_implementation={'text': 'a/kernel@1'})),
            'model.module.config._attn_implementation',
        ),
        (
            dict(part=dict(type=nn.Identity, trust_remote_code=1)),
            'model.module.part.trust_remote_code',
        ),
    ],
)
def test_refused_arguments(argument, key, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f'^{key}: .*is refused.*allow_code=True'):
        build_module(dict(type=f'{HERE}.Network', **argument), KEY)
    assert not os.listdir()


def test_allow_code(tmp_path):
    """Calls anything, such as torch.hub.load, that returns a network."""
    config = dict(type=f'{HERE}.unannotated', trust_remote_code=True)
    assert isinstance(build_module(config, KEY, allow_code=True), nn.Identity)
    (tmp_path / 'hubconf.py').write_text('from torch.nn import Identity as net\n')
    config = dict(type='torch.hub.load', repo_or_dir=str(tmp_path), source='local')
    with pytest.raises(UserError, match='is refused'):
        build_module(dict(config, model='net'), KEY)
    assert build_module(dict(config, model='net'), KEY, True).training
    with pytest.raises(UserError, match=r'returns a Tensor, not a torch\.nn\.Module'):
        build_module(dict(type='torch.ones', size=[1]), KEY, allow_code=True)


class Unpickles(nn.Module):
    def __init__(self, path):
        super().__init__()
        self.content = torch.load(path, weights_only=False)


def test_pickles_are_not_executed(tmp_path):
    """Even by a network that unpickles in its constructor."""
    file = tmp_path / 'a.pth'
    torch.save(dict(code=subprocess.Popen), file)
    config = dict(type=f'{HERE}.Unpickles', path=str(file))
    with pytest.raises(UserError, match='Weights only load failed'):
        build_module(config, KEY)
    assert build_module(config, KEY, allow_code=True).content


def test_invalid_arguments():
    error = r"^model\.module: 'torch\.nn\.Conv2d' cannot be built \(TypeError: .*depth"
    with pytest.raises(UserError, match=error):
        build_module(dict(type='torch.nn.Conv2d', depth=3), KEY)


def test_transformers():
    pytest.importorskip('transformers')
    segformer = dict(
        depths=[1, 1], hidden_sizes=[8, 8], num_attention_heads=[1, 1], num_labels=7
    )
    segformer |= dict(num_encoder_blocks=2, sr_ratios=[2, 1], decoder_hidden_size=8)
    config = dict(type='transformers.SegformerConfig', **segformer)
    auto = 'transformers.AutoModelForSemanticSegmentation'
    model = build_module(dict(type=f'{auto}.from_config', config=config), KEY)
    assert model.config.num_labels == 7
    path = dict(pretrained_model_name_or_path='nvidia/mit-b0')
    with pytest.raises(UserError, match='cannot be built'):  # and not downloaded
        build_module(dict(type=f'{auto}.from_pretrained', **path), KEY)


def test_module_in_the_working_directory(tmp_path, monkeypatch):
    """Is found by commands whose path does not contain the working directory."""
    path = [place for place in sys.path if place not in ('', str(tmp_path))]
    monkeypatch.setattr(sys, 'path', path)
    (tmp_path / 'my_nets.py').write_text('from torch.nn import Identity as Net\n')
    (tmp_path / 'my_broken.py').write_text('import absent_package\n')
    with pytest.raises(UserError, match=r"no package 'my_nets'; .*PYTHONPATH=FOL"):
        build_module(dict(type='my_nets.Net'), KEY)
    before = list(sys.path)
    monkeypatch.chdir(tmp_path)
    assert isinstance(build_module(dict(type='my_nets.Net'), KEY), nn.Identity)
    assert sys.path == [*before, str(tmp_path)]  # after what is installed
    error = r"^model\.module\.type: 'my_broken\.Net' cannot be imported \(.*absent_pack"
    with pytest.raises(UserError, match=error):
        build_module(dict(type='my_broken.Net'), KEY)
