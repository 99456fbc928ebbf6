import os
import pathlib
import pickle
import re
import shutil
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from mmengine import fileio
from mmengine.logging import HistoryBuffer
from mmengine.model import ImgDataPreprocessor
from mmengine.runner import CheckpointLoader
from torch import nn

from mmkd.checkpoint import (
    check_saved,
    load_weights,
    state_and_meta,
    weights_only_by_default,
)
from mmkd.checkpoint_fit import check_finite, check_fit, check_some_fit
from mmkd.errors import UserError

KEY = 'teacher.checkpoint'
GIVE_ANOTHER = f'give another with --cfg-options {KEY}=PATH'
WEIGHTS = {'a.weight': torch.arange(1000.0), 'a.bias': torch.ones(3)}


def save(path, content, **kwargs):
    torch.save(content, path, **kwargs)
    return path.read_bytes()


def error_of(path):
    with pytest.raises(UserError) as raised:
        load_weights(str(path), KEY)
    error = str(raised.value)
    assert error.startswith(f"{KEY}: '{path}' ")
    assert '\n' not in error
    assert f'--cfg-options {KEY}=PATH' in error  # the fix
    return error


def reason_of(path):
    """Return what an error says between the file's name and the fix."""
    prefix = f"{KEY}: '{path}' "
    reason, _, fix = error_of(path).removeprefix(prefix).rpartition('; ')
    assert fix == GIVE_ANOTHER
    return reason


class Code:
    """Unpickling it touches a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f'touch {self.path}',)


class TestLoading:
    @pytest.mark.parametrize('new', [True, False])
    @pytest.mark.parametrize('prefix', ['', 'module.'])
    @pytest.mark.parametrize('wrapped', [True, False])
    def test_weights(self, tmp_path, new, prefix, wrapped):
        state = {prefix + key: value for key, value in WEIGHTS.items()}
        content = {'state_dict': state, 'meta': {'epoch': 3}} if wrapped else state
        save(tmp_path / 'a.pth', content, _use_new_zipfile_serialization=new)
        loaded, meta = load_weights(str(tmp_path / 'a.pth'), KEY)
        assert list(loaded) == list(WEIGHTS)
        assert all(torch.equal(loaded[key], WEIGHTS[key]) for key in WEIGHTS)
        assert meta == ({'epoch': 3} if wrapped else {})

    @pytest.mark.parametrize('entry', ['model', 'model_state_dict', 'net'])
    def test_only_state_dict(self, tmp_path, entry):
        """As the training loops of other libraries write it."""
        state = {f'module.{key}': value for key, value in WEIGHTS.items()}
        optimizer = {'state': {0: {'exp_avg': torch.ones(2)}}, 'param_groups': []}
        content = {entry: state, 'optimizer': optimizer, 'epoch': 3}
        save(tmp_path / 'a.pth', content)
        assert list(load_weights(str(tmp_path / 'a.pth'), KEY)[0]) == list(WEIGHTS)

    def test_several_state_dicts(self, tmp_path):
        save(tmp_path / 'a.pth', {'model': WEIGHTS, 'ema': WEIGHTS, 'epoch': 3})
        path = str(tmp_path / 'a.pth')
        loaded, _ = load_weights(path, KEY)
        assert list(loaded) == [f'{a}.{b}' for a in ('model', 'ema') for b in WEIGHTS]
        assert list(load_weights(path, KEY, prefix='ema')[0]) == list(WEIGHTS)

    @pytest.mark.parametrize('numpy', [1, 2])
    @pytest.mark.parametrize('load', ['ours', "MMEngine's"])
    def test_a_runners_checkpoint(self, tmp_path, numpy, load):
        """Holds the log history and numpy scalars, beside the weights."""
        history = HistoryBuffer()
        history.update(1.5)
        scalars = {
            name: np.dtype(name).type(1)
            for name in ('float64', 'float32', 'float16', 'int64', 'int32', 'bool')
        }
        hub = {'log_scalars': {'train/loss': history}, 'runtime_info': scalars}
        content = {'state_dict': WEIGHTS, 'message_hub': hub, 'meta': {'iter': 2}}
        path = tmp_path / 'a.pth'
        save(path, content)
        # numpy 1 and 2 call the module of their pickling otherwise.
        core = b'numpy.core.' if numpy == 1 else b'numpy._core.'
        rewrite(
            path,
            lambda steps: steps.replace(b'numpy._core.', b'numpy.core.').replace(
                b'numpy.core.', core
            ),
        )
        if load == 'ours':
            loaded, meta = load_weights(str(path), KEY)
            assert meta == {'iter': 2}
        else:
            with weights_only_by_default():
                whole = CheckpointLoader.load_checkpoint(str(path), map_location='cpu')
            loaded, hub = whole['state_dict'], whole['message_hub']
            assert hub['log_scalars']['train/loss'].mean() == 1.5
            assert hub['runtime_info'] == scalars
        assert list(loaded) == list(WEIGHTS)

    def test_weights_of_another_entry(self, tmp_path):
        state = {f'module.{key}': value for key, value in WEIGHTS.items()}
        save(tmp_path / 'a.pth', {'model': state, 'accuracy': torch.ones(1)})
        loaded, meta = load_weights(str(tmp_path / 'a.pth'), KEY, 'model')
        assert list(loaded) == list(WEIGHTS)
        assert meta == {}

    def test_weights_of_a_checkpoint_that_is_read(self):
        checkpoint = {'state_dict': WEIGHTS, 'meta': {'iter': 2}}
        assert state_and_meta(checkpoint, 'a.pth', KEY) == (WEIGHTS, {'iter': 2})

    def test_saved_on_a_gpu(self, tmp_path):
        """Weights may be saved on a device that this machine lacks."""
        path = tmp_path / 'a.pth'
        save(path, WEIGHTS)
        rewrite(path, lambda steps: steps.replace(text('cpu'), text('cuda:0')))
        loaded, _ = load_weights(str(path), KEY)
        assert all(tensor.device.type == 'cpu' for tensor in loaded.values())

    def test_home(self, tmp_path, monkeypatch):
        monkeypatch.setenv('HOME', str(tmp_path))
        save(tmp_path / 'a.pth', WEIGHTS)
        assert load_weights('~/a.pth', KEY)[0].keys() == WEIGHTS.keys()


@pytest.mark.parametrize('opposite', [None, '1'])
def test_the_process_is_as_it_was(tmp_path, monkeypatch, opposite):
    """Training in a notebook must not change what its other cells may load."""
    monkeypatch.delenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', raising=False)
    if opposite:
        monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', opposite)
    save(tmp_path / 'a.pth', WEIGHTS)
    allowed = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    with torch.serialization.safe_globals([Code]):
        load_weights(str(tmp_path / 'a.pth'), KEY)
        with pytest.raises(UserError):
            load_weights(str(tmp_path / 'b.pth'), KEY)
        found = torch.serialization.get_safe_globals()
    torch.serialization.add_safe_globals(allowed)
    assert 'TORCH_FORCE_WEIGHTS_ONLY_LOAD' not in os.environ
    assert os.environ.get('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD') == opposite
    assert found == [Code]


def test_switched_off_it_is_on(tmp_path, monkeypatch):
    """torch's switch for trusting all files is not for those that a tool reads."""
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    torch.save({'code': print}, tmp_path / 'a.pth')
    with weights_only_by_default(), pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / 'a.pth')


def test_may_be_nested(tmp_path):
    """A tool reads everything within; a teacher is read in its own."""
    torch.save({'history': HistoryBuffer()}, tmp_path / 'a.pth')
    with weights_only_by_default():
        save(tmp_path / 'b.pth', WEIGHTS)
        load_weights(str(tmp_path / 'b.pth'), KEY)
        CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'), map_location='cpu')


class TestUnreadable:
    def test_missing(self, tmp_path):
        error = error_of(tmp_path / 'a.pth')
        assert f"a.pth' does not exist; train it first, or {GIVE_ANOTHER}" in error

    def test_folder(self, tmp_path):
        error = error_of(tmp_path)
        expected = 'is a folder without model.safetensors; train it first, or'
        assert f"{tmp_path}' {expected} {GIVE_ANOTHER}" in error

    @pytest.mark.parametrize('new', [True, False])
    @pytest.mark.parametrize('share', [0.01, 0.5, 0.99])
    def test_truncated(self, tmp_path, new, share):
        path = tmp_path / 'a.pth'
        whole = save(path, WEIGHTS, _use_new_zipfile_serialization=new)
        path.write_bytes(whole[: int(share * len(whole))])
        assert reason_of(path) == 'is truncated or damaged: download or save it again'

    def test_empty(self, tmp_path):
        path = tmp_path / 'a.pth'
        path.touch()
        assert reason_of(path) == 'is empty'

    @pytest.mark.parametrize(
        'content',
        [
            b'not a checkpoint\n',
            b'crop_size = 3\nlr = 2\n',  # c opens a pickled name
            b'<!DOCTYPE html>\n<html></html>\n',
            b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n',
            bytes(range(255, 0, -1)),
        ],
    )
    def test_garbage(self, tmp_path, content):
        path = tmp_path / 'a.pth'
        path.write_bytes(content)
        assert reason_of(path) == 'is not a checkpoint of PyTorch'

    @pytest.mark.parametrize(
        ('name', 'expected'),
        [
            ('word/document.xml', 'is not a checkpoint of PyTorch'),
            ('a/constants.pkl', 'is a TorchScript program, not a checkpoint'),
        ],
    )
    def test_zip_of_another_kind(self, tmp_path, name, expected):
        path = tmp_path / 'a.pth'
        with zipfile.ZipFile(path, 'w') as archive:
            archive.writestr('a/other', '')
            archive.writestr(name, '')
        assert reason_of(path) == expected

    def test_tar(self, tmp_path):
        path = tmp_path / 'a.pth'
        with tarfile.open(path, 'w') as archive:
            archive.add(__file__)
        reason = (
            'is a tar file, perhaps a checkpoint of PyTorch before 0.4: save it again '
            'with a current version'
        )
        assert reason_of(path) == reason

    @pytest.mark.parametrize('way', ['file', 'URL', 'backend'])
    def test_zeroed_bytes(self, tmp_path, monkeypatch, way):
        """PyTorch reads them as weights."""
        path = tmp_path / 'a.pth'
        whole = bytearray(save(path, WEIGHTS))
        start = whole.index(WEIGHTS['a.weight'][500:600].numpy().tobytes())
        whole[start : start + 400] = bytes(400)
        path.write_bytes(whole)
        loaded = torch.load(path, weights_only=True)
        assert not loaded['a.weight'][500:600].any()
        self.refused(way, path, monkeypatch, 'is truncated or damaged')

    @pytest.mark.parametrize('way', ['file', 'URL', 'backend'])
    def test_zip_bomb(self, tmp_path, monkeypatch, way):
        path, bomb = tmp_path / 'a.pth', torch.zeros(10**6)
        save(path, {'state_dict': {'a': bomb}})
        compress(path)
        unpacked = 'is refused: its .* bytes would unpack to 4,0.*, more than 10 times'
        self.refused(way, path, monkeypatch, unpacked)

    def refused(self, way, path, monkeypatch, expected):
        if way == 'file':
            assert re.search(expected, error_of(path))
            return
        if way == 'URL':
            monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(path.parent))
            monkeypatch.setattr(
                torch.hub, 'download_url_to_file', lambda _, to: shutil.copy(path, to)
            )
        url = 'https://example.org/b.pth' if way == 'URL' else f'local://{path}'
        monkeypatch.setattr('mmkd.checkpoint.fileio.get', lambda _: path.read_bytes())
        with pytest.raises(UserError, match=expected) as raised:
            load_weights(url, KEY)
        assert str(raised.value).startswith(f"{KEY}: '{url}' ")

    def test_compressed_weights_are_read(self, tmp_path):
        """Weights of usual values."""
        path = tmp_path / 'a.pth'
        weights = {'a': torch.randn(10**5).round(decimals=1)}
        save(path, weights)
        before = path.stat().st_size
        compress(path)
        assert path.stat().st_size < before
        assert torch.equal(load_weights(str(path), KEY)[0]['a'], weights['a'])

    @pytest.mark.parametrize(
        ('content', 'expected'),
        [
            ({'state_dict': WEIGHTS, 3: 4}, 'has the key 3'),
            ({'state_dict': {**WEIGHTS, 3: torch.ones(1)}}, 'has the key 3'),
            ({3: torch.ones(1)}, 'has the key 3'),
            ({'state_dict': {(1, 2): torch.ones(1)}}, r'has the key (1, 2)'),
            ({'meta': torch.ones(2)}, 'has a Tensor as meta instead of a dict'),
            ({'meta': [1]}, 'has a list as meta instead of a dict'),
            ({'meta': {'iter': 'two'}}, 'has an invalid meta.iter of type str'),
            (
                {'meta': {'epoch': torch.ones(2)}},
                'an invalid meta.epoch of type Tensor',
            ),
            (
                {'meta': {'dataset_meta': torch.ones(2)}},
                'as meta.dataset_meta instead of a dict',
            ),
            (
                {'meta': {'dataset_meta': {'classes': torch.ones(2)}}},
                'has an invalid meta.dataset_meta.classes of type Tensor',
            ),
        ],
    )
    def test_entries_of_another_type(self, tmp_path, content, expected):
        if 'meta' in content:
            content = {'state_dict': WEIGHTS, **content}
        save(tmp_path / 'a.pth', content)
        assert expected in error_of(tmp_path / 'a.pth')

    def test_a_weight_called_meta(self, tmp_path):
        save(tmp_path / 'a.pth', {'meta': torch.ones(2)})
        assert list(load_weights(str(tmp_path / 'a.pth'), KEY)[0]) == ['meta']

    @pytest.mark.parametrize(
        ('content', 'expected'),
        [
            ({'epoch': 3}, 'contains no weights (found: epoch)'),
            ({'state_dict': {}}, 'contains no weights (found: state_dict)'),
            ({'state_dict': None}, 'contains no weights (found: state_dict)'),
            ({'model': {}}, 'contains no weights (found: model)'),
            ({}, 'contains no weights (found: nothing)'),
            (dict.fromkeys('abcdef', 1), 'contains no weights (found: a, b, c, d, e)'),
            ([WEIGHTS], 'contains a list instead of a state dict'),
            (torch.ones(2), 'contains a Tensor instead of a state dict'),
        ],
    )
    def test_no_weights(self, tmp_path, content, expected):
        save(tmp_path / 'a.pth', content)
        assert reason_of(tmp_path / 'a.pth') == expected

    def test_test_pys_argument_is_no_config_key(self, tmp_path):
        with pytest.raises(UserError) as raised:
            load_weights(str(tmp_path / 'a.pth'), 'checkpoint')
        assert str(raised.value).endswith('; train it first, or give another')


class TestRemote:
    """URLs, published files, and other schemes, which MMEngine reads."""

    URL = 'https://example.org/a.pth?from=s3://b'
    PUBLISHED = 'torchvision://resnet18'
    PATH = 's3://bucket/a.pth'

    @pytest.fixture(params=[URL, PUBLISHED, PATH])
    def path(self, request):
        return request.param

    @pytest.fixture
    def serve(self, tmp_path, monkeypatch):
        """Make any path return given bytes or raise an error."""
        local = tmp_path / 'published.pth'

        def serve(content):
            def get(path):
                assert path == self.PATH
                if isinstance(content, Exception):
                    raise content
                return content

            def download(url, to):
                assert (url, to) == (self.URL, str(tmp_path / 'checkpoints' / 'a.pth'))
                pathlib.Path(to).write_bytes(get(self.PATH))

            def published(path, map_location):
                assert (path, map_location) == (self.PUBLISHED, 'cpu')
                local.write_bytes(get(self.PATH))
                return torch.load(local, map_location)

            monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
            monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
            monkeypatch.setattr(CheckpointLoader, 'load_checkpoint', published)
            monkeypatch.setattr(fileio, 'get', get)

        return serve

    def reason(self, path):
        with pytest.raises(UserError) as raised:
            load_weights(path, KEY)
        reason, _, fix = str(raised.value).rpartition('; ')
        assert fix == (
            f'download it yourself and pass the file with --cfg-options {KEY}=PATH'
        )
        assert reason.startswith(f"{KEY}: '{path}' ")
        return reason.removeprefix(f"{KEY}: '{path}' ")

    def test_weights(self, path, serve, tmp_path):
        serve(save(tmp_path / 'b.pth', WEIGHTS))
        loaded, _ = load_weights(path, KEY)
        assert all(torch.equal(loaded[key], WEIGHTS[key]) for key in WEIGHTS)

    def test_code(self, path, serve, tmp_path):
        serve(save(tmp_path / 'b.pth', {'code': Code(tmp_path / 'touched')}))
        refused = 'is refused because loading it could run code: it contains '
        reason = self.reason(path)
        assert reason.startswith(f'{refused}{os.system.__module__}.system, not only')
        assert not (tmp_path / 'touched').exists()

    def test_garbage(self, path, serve):
        serve(b'not a checkpoint')
        assert self.reason(path) == 'is not a checkpoint of PyTorch'

    @pytest.mark.parametrize(
        ('error', 'expected'),
        [(OSError('no route\nto host'), 'no route to host'), (OSError(), 'OSError')],
    )
    def test_unreachable(self, path, serve, error, expected):
        serve(error)
        assert self.reason(path) == f'cannot be downloaded ({expected})'


def rewrite(path, change):
    """Changes the pickle inside a checkpoint."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, 'w') as archive:
        for name, content in parts.items():
            changed = change(content) if name.endswith('data.pkl') else content
            archive.writestr(name, changed)


def compress(path):
    """Deflates the parts of a checkpoint."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def text(value):
    return b'X' + len(value).to_bytes(4, 'little') + value.encode()


def take(owner, name):
    """Pickle steps of getattr(owner, name)."""
    return b'c__builtin__\ngetattr\n' + owner + text(name) + b'\x86R'


HISTORY = b'cmmengine.logging.history_buffer\nHistoryBuffer\n'


class TestCode:
    """Files that would run code are refused; none of it runs."""

    @pytest.mark.parametrize(
        'kind', ['zip', 'zip, protocol 4', 'legacy', 'pickle 0', 'pickle 2', 'pickle 4']
    )
    def test_refused(self, tmp_path, kind):
        path, touched = tmp_path / 'a.pth', tmp_path / 'touched'
        code = Code(touched)
        protocol = int(kind[-1]) if kind[-1].isdigit() else 2
        if kind.startswith('pickle'):
            path.write_bytes(pickle.dumps(code, protocol=protocol))
        else:
            content = {'state_dict': WEIGHTS, 'code': code}
            new = kind.startswith('zip')
            save(
                path,
                content,
                pickle_protocol=protocol,
                _use_new_zipfile_serialization=new,
            )
        refused = 'is refused because loading it could run code: it contains '
        held = f'{os.system.__module__}.system'
        if protocol == 4:
            held = 'more than weights'
        assert reason_of(path).startswith(f'{refused}{held}, not only weights')
        assert not touched.exists()

    def test_names_what_it_holds(self, tmp_path):
        save(tmp_path / 'a.pth', {'state_dict': WEIGHTS, 'args': Code('x')})
        assert f'it contains {os.system.__module__}.system' in error_of(
            tmp_path / 'a.pth'
        )
        save(tmp_path / 'a.pth', nn.Linear(2, 2))
        assert 'it contains torch.nn.modules' in error_of(tmp_path / 'a.pth')

    def test_mmengines_loader_does_not_fall_back(self, tmp_path):
        """MMEngine's own function, which load_from and resume call."""
        path, touched = tmp_path / 'a.pth', tmp_path / 'touched'
        save(path, {'state_dict': WEIGHTS, 'code': Code(touched)})
        with weights_only_by_default(), pytest.raises(pickle.UnpicklingError):
            CheckpointLoader.load_checkpoint(str(path))
        assert not touched.exists()

    @pytest.mark.parametrize(
        'steps',
        [
            take(HISTORY, '_set_default_statistics'),
            take(b'cnumpy\nndarray\n', 'tofile'),
        ],
    )
    def test_getattr_reaches_public_methods_of_the_history_only(self, tmp_path, steps):
        path = tmp_path / 'a.pth'
        save(path, WEIGHTS)
        rewrite(path, lambda _: b'\x80\x02' + steps + b'.')
        assert 'it contains builtins.getattr,' in reason_of(path)

    def test_getattr_reaches_the_log_history_only(self, tmp_path):
        """A pickled HistoryBuffer needs getattr; getattr.__self__ is all builtins.

        This would put exec where MMEngine looks for a module of its own.
        """
        path = tmp_path / 'a.pth'
        save(path, WEIGHTS)
        steps = (
            b'\x80\x02'
            + take(
                take(HISTORY, 'update'),
                '__globals__',
            )
            + text('planted')
            + take(take(b'c__builtin__\ngetattr\n', '__self__'), 'exec')
            + b's.'
        )
        rewrite(path, lambda _: steps)
        assert 'it contains builtins.getattr' in error_of(path)
        assert 'planted' not in HistoryBuffer.update.__globals__


class TestFit:
    @pytest.fixture
    def model(self):
        class Network(nn.Module):
            def __init__(self):
                super().__init__()
                self.backbone = nn.ModuleDict(
                    {'stem': nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))}
                )
                self.conv_seg = nn.Conv2d(4, 11, 1)

        return Network()

    def error(self, model, state, **kwargs):
        with pytest.raises(UserError) as raised:
            check_fit(model, state, f"{KEY}: 'a.pth'", **kwargs)
        assert '\n' not in str(raised.value)
        assert str(raised.value).startswith(f"{KEY}: 'a.pth' does not match")
        return str(raised.value)

    def test_fits(self, model):
        check_fit(model, model.state_dict(), 'it')

    def test_old_checkpoints_do_not_count_batches(self, model):
        state = model.state_dict()
        del state['backbone.stem.1.num_batches_tracked']
        check_fit(model, state, 'it')

    def test_missing(self, model):
        state = model.state_dict()
        for key in list(state)[:4]:
            del state[key]
        error = self.error(model, state)
        keys = 'backbone.stem.0.weight, backbone.stem.0.bias, backbone.stem.1.weight'
        fix = 'does it belong to another config?'
        assert error.endswith(f': 4 missing ({keys}, ...); {fix}')
        del state['conv_seg.weight'], state['conv_seg.bias']
        state.update(dict.fromkeys('abc', torch.ones(1)))
        error = self.error(model, state)
        missing = f'6 missing ({keys}, ...)'
        assert error.endswith(f': {missing}; 3 unexpected (a, b, c); {fix}')

    def test_unexpected(self, model):
        state = {**model.state_dict(), 'auxiliary_head.weight': torch.ones(1)}
        error = self.error(model, state)
        assert '1 unexpected (auxiliary_head.weight)' in error
        cause = 'does the config lack a head or layers that the checkpoint has?'
        assert error.endswith(f'; {cause}')
        check_fit(model, state, 'it', allow_extra=True)

    @pytest.mark.parametrize('prefix', ['architecture.', 'student.', 'a.b.', 'model.'])
    @pytest.mark.parametrize('other', ['', 'teacher.', 'backbone.'])
    def test_prefix(self, model, tmp_path, monkeypatch, prefix, other):
        """Such as MMRazor's or Lightning's, maybe with a second network."""
        monkeypatch.chdir(tmp_path)
        own = model.state_dict()
        state = {f'{prefix}{key}': value for key, value in own.items()}
        state |= {f'{other}{key}x': torch.ones(1) for key in ('y', 'z')}
        error = self.error(model, state, prefix_key='teacher.prefix')
        assert error.endswith(
            f"'{prefix}' there; load them with teacher.prefix='{prefix}'"
        )
        torch.save(dict(state_dict=state), 'a.pth')
        for given in (prefix, prefix.removesuffix('.')):
            loaded, _ = load_weights('a.pth', KEY, prefix=given)
            check_fit(model, loaded, 'it')
        with pytest.raises(UserError, match=r"no weights with prefix 'gone\.', but"):
            load_weights('a.pth', KEY, prefix='gone.')
        # Without such a key the error has a command that writes another file.
        line = self.error(model, state).partition('python -c ')[2]
        exec(line.strip('"'))
        check_fit(model, load_weights('plain.pth', KEY)[0], 'it')

    def test_prefix_that_is_code(self, model):
        """No command that a user may paste contains it."""
        prefix = "x'); print('."
        state = {f'{prefix}{key}': value for key, value in model.state_dict().items()}
        assert 'python -c' not in self.error(model, state)

    def test_some_fit(self, model):
        state = model.state_dict()
        check_some_fit(model, dict(other=state['conv_seg.bias'], **state), 'it')
        check_some_fit(model, {'conv_seg.bias': state['conv_seg.bias']}, 'it')
        with pytest.raises(UserError, match=r"such as 'bias', .*'backbone.stem.0.weig"):
            check_some_fit(model, {'bias': state['conv_seg.bias']}, 'it')
        prefixed = {f'student.{key}': value for key, value in state.items()}
        with pytest.raises(
            UserError, match=r"begin with 'student\.' there; save a copy"
        ):
            check_some_fit(model, prefixed, 'it')

    @pytest.mark.parametrize('extra', [False, True])
    def test_normalization(self, model, extra):
        """Which checkpoints of early versions of MMEngine contain."""
        mean, std = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
        model.data_preprocessor = ImgDataPreprocessor(mean, std)
        state = model.state_dict()
        assert 'data_preprocessor.mean' not in state
        for name, values in (('mean', mean), ('std', std)):
            state[f'data_preprocessor.{name}'] = torch.tensor(values).view(-1, 1, 1)
        check_fit(model, state, 'it', allow_extra=extra)
        assert 'data_preprocessor.mean' in state  # the caller's is unchanged
        for preprocessor, own in (
            (ImgDataPreprocessor([0.0] * 3, std), '[0, 0, 0]'),
            (ImgDataPreprocessor(), 'none'),
        ):
            model.data_preprocessor = preprocessor
            with pytest.raises(UserError) as raised:
                check_fit(model, state, 'it', allow_extra=extra)
            assert (
                'data_preprocessor.mean=[123.675, 116.28, 103.53], but its config has '
                f'{own};'
            ) in str(raised.value)

    def test_shape(self, model):
        state = {**model.state_dict(), 'backbone.stem.0.bias': torch.ones(8)}
        error = self.error(model, state)
        assert '1 of another shape (backbone.stem.0.bias (8,) for (4,))' in error
        assert 'another config?' in error

    def test_transposed(self, model):
        """Equal numbers of elements do not suffice."""
        state = model.state_dict()
        state['conv_seg.weight'] = state['conv_seg.weight'].transpose(0, 1)
        error = self.error(model, state)
        assert 'conv_seg.weight (4, 11, 1, 1) for (11, 4, 1, 1)' in error

    def test_other_classes(self, model):
        state = model.state_dict()
        state['conv_seg.weight'] = torch.ones(19, 4, 1, 1)
        state['conv_seg.bias'] = torch.ones(19)
        error = self.error(model, state)
        assert 'conv_seg.weight (19, 4, 1, 1) for (11, 4, 1, 1)' in error
        assert error.endswith('; was it trained on other classes?')

    def test_other_classes_of_a_classifier(self):
        model = nn.ModuleDict({'fc': nn.Linear(4, 11)})
        error = self.error(
            model, {'fc.weight': torch.ones(19, 4), 'fc.bias': torch.ones(19)}
        )
        assert error.endswith('; was it trained on other classes?')

    def test_other_stem(self, model):
        state = model.state_dict()
        state['backbone.conv1.weight'] = state.pop('backbone.stem.0.weight')
        error = self.error(model, state)
        cause = 'do the stems differ, ResNetV1c (R101) and ResNet (R101b)?'
        assert error.endswith(f'; {cause}')


class TestSaved:
    def error(self, path):
        with pytest.raises(UserError) as raised:
            check_saved(path)
        return str(raised.value)

    @pytest.mark.parametrize(
        ('hub', 'entry'),
        [
            ({'a': 1, 'path': pathlib.PurePosixPath('x')}, 'hub.path'),
            ({'a': [1, {'b': (2, pathlib.PurePosixPath('x'))}]}, 'hub.a.1.b.1'),
        ],
    )
    def test_names_the_innermost_refused_entry(self, tmp_path, hub, entry):
        save(tmp_path / 'a.pth', {'state_dict': WEIGHTS, 'hub': hub})
        kind = f'{pathlib.PurePosixPath.__module__}.PurePosixPath'
        assert self.error(tmp_path / 'a.pth') == (
            f'{entry}: a {kind} in the checkpoint would be refused on resume, because '
            'only weights and plain values are loaded; change the hook or metric that '
            'stores it to store a string, a number, a list or a dict'
        )

    def test_weights_of_a_gpu(self, tmp_path):
        path = tmp_path / 'a.pth'
        save(path, {'state_dict': WEIGHTS, 'path': pathlib.PurePosixPath('x')})
        rewrite(path, lambda steps: steps.replace(text('cpu'), text('cuda:0')))
        assert self.error(path).startswith('path: a ')

    def test_wrong_checksums(self, tmp_path):
        path = tmp_path / 'a.pth'
        whole = bytearray(save(path, WEIGHTS))
        check_saved(path)
        start = whole.index(WEIGHTS['a.weight'].numpy().tobytes())
        whole[start + 2000] ^= 1
        path.write_bytes(whole)
        assert self.error(path) == (
            'the checkpoint would be refused on resume, as its checksums are wrong: '
            'remove any call of torch.serialization.set_crc32_options(False), which '
            'omits them; otherwise the disk is damaged'
        )


@pytest.mark.parametrize(
    ('bad', 'names'), [(1, 'a'), (3, 'a, b, c'), (4, 'a, b, c, ...')]
)
def test_weights_that_are_not_finite(bad, names):
    state = {name: torch.ones(2) for name in 'abcde'}
    check_finite(state, 'it')
    for name in 'abcde'[:bad]:
        state[name][1] = torch.nan if name == 'a' else -torch.inf
    with pytest.raises(UserError) as raised:
        check_finite(state, 'it')
    assert str(raised.value) == (
        f'it has NaN or infinite weights in {bad} of 5 tensors ({names}): its training '
        'diverged, or the file is damaged; give another'
    )
