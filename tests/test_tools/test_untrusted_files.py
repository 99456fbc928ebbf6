"""An untrusted checkpoint runs no code, whichever way it gets in."""

import io
import itertools
import os
import pickle
import runpy
import shutil
import sys
import tarfile
import zipfile
from contextlib import suppress

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmkd.analysis.registered_types import check_registered
from mmkd.cli.report import import_modules
from mmkd.cli.report import main as report
from mmkd.errors import UserError
from tests.test_models.programs import edit, export, nodes, rewrite, write_onnx
from tests.test_tools.conftest import TOOLS

pytestmark = pytest.mark.filterwarnings('ignore:`torch.jit')  # of TorchScript itself
WEIGHTS = {'weight': torch.ones(3)}


class MakeFolder:
    """Unpickling it makes a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def with_zip(path, code):
    torch.save({'state_dict': WEIGHTS, 'code': code}, path)


def with_legacy(path, code):
    content = {'state_dict': WEIGHTS, 'code': code}
    torch.save(content, path, _use_new_zipfile_serialization=False)


def with_pickle(path, code):
    path.write_bytes(pickle.dumps({'state_dict': WEIGHTS, 'code': code}, protocol=2))


def with_getattr(path, code):
    """Reaches exec from a log history, which a checkpoint may contain."""

    def text(value):
        return b'X' + len(value).to_bytes(4, 'little') + value.encode()

    def take(owner, name):
        return b'c__builtin__\ngetattr\n' + owner + text(name) + b'\x86R'

    history = b'cmmengine.logging.history_buffer\nHistoryBuffer\n'
    found = take(take(take(history, '__init__'), '__globals__'), 'get')
    execute = take(found + text('__builtins__') + b'\x85R', 'get')
    execute += text('exec') + b'\x85R'
    program = text(f'import os; os.mkdir({code.path!r})')
    torch.save({'state_dict': WEIGHTS}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, 'w') as archive:
        for name, content in parts.items():
            if name.endswith('data.pkl'):
                content = b'\x80\x02' + execute + program + b'\x85R.'
            archive.writestr(name, content)


class Program(torch.nn.Module):
    """Makes a file when it is loaded."""

    def __init__(self, path: str):
        super().__init__()
        self.path: str = path
        self.training = False

    def forward(self, images):
        return images

    @torch.jit.export
    def __getstate__(self):
        return (self.path, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]):
        self.path = state[0]
        file = torch.from_file(state[0], shared=True, size=1, dtype=torch.uint8)
        self.training = bool(file.sum() > 1)


def with_torchscript(path, code):
    torch.jit.save(torch.jit.script(Program(code.path)), path)


def with_export(path, code):
    """Program of torch.export whose weights are pickled objects."""
    export(path)
    rewrite(path, lambda name, c: pickle.dumps(code) if 'weight_0' in name else c)

    def pickled(config):
        for entry in config['config'].values():
            entry['use_pickle'] = True

    edit(path, pickled, 'model_weights_config.json')


def with_tar(path, code):
    """Checkpoint in the format of PyTorch before 0.4."""
    with tarfile.open(path, 'w') as archive:
        for name in ('sys_info', 'storages', 'tensors', 'pickle'):
            content = pickle.dumps(code, protocol=2)
            part = tarfile.TarInfo(name)
            part.size = len(content)
            archive.addfile(part, io.BytesIO(content))


def with_npy(path, code):
    with path.open('wb') as file:
        np.save(file, np.array([code], dtype=object), allow_pickle=True)


def with_npz(path, code):
    with path.open('wb') as file:
        np.savez(file, weight=np.array([code], dtype=object))


def unsafely(path):
    torch.load(path, weights_only=False)


def with_numpy(path):
    loaded = np.load(path, allow_pickle=True)
    if isinstance(loaded, np.lib.npyio.NpzFile):
        loaded['weight']


def unpickle(path):
    pickle.loads(path.read_bytes())


# How to make each kind, what runs its code, and what the user is told.
REFUSED = 'is refused because loading it could run code'
KINDS = {
    'zip': (with_zip, unsafely, REFUSED),
    'legacy': (with_legacy, unsafely, REFUSED),
    'pickle': (with_pickle, unpickle, REFUSED),
    'getattr': (with_getattr, unsafely, REFUSED),
    'torchscript': (with_torchscript, unsafely, 'is a TorchScript program'),
    'export': (with_export, torch.export.load, 'is a torch.export program'),
    'tar': (
        with_tar,
        unsafely,
        'is a tar file, perhaps a checkpoint of PyTorch before 0.4',
    ),
    'npy': (with_npy, with_numpy, 'is not a checkpoint of PyTorch'),
    'npz': (with_npz, with_numpy, 'is not a checkpoint of PyTorch'),
}


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('kind', KINDS)
def test_is_dangerous(tmp_path, kind):
    """Code in these files runs without mmkd, so the tests below are meaningful."""
    make, load, _ = KINDS[kind]
    path, marker = tmp_path / 'a.pth', tmp_path / 'marker'
    make(path, MakeFolder(marker))
    assert not marker.exists()
    try:
        load(path)
    except Exception:  # what is left, once the code has run, need not make sense
        assert marker.exists()
    assert marker.exists()


def options(*keys):
    """A way in through --cfg-options."""

    def arguments(bench, path):
        settings = [f'{key}={path}' if '=' not in key else key for key in keys]
        folder = ['--work-dir', str(path.parent)]
        return 'train.py', ['kd.py', *folder, '--cfg-options', *settings], keys[0]

    return arguments


def in_the_config(bench, path):
    text = f"_base_ = 'kd.py'\nteacher = dict(checkpoint='{path}')\n"
    bench.write('untrusted_teacher.py', text)
    return 'train.py', ['untrusted_teacher.py'], 'teacher.checkpoint'


def by_teacher(bench, path):
    arguments = ['kd.py', '--work-dir', str(path.parent)]
    arguments += ['--teacher', 'teacher.py', str(path)]
    return 'train.py', arguments, 'teacher.checkpoint'


def in_init_cfg(bench, path):
    text = f"""
_base_ = 'kd.py'
init_cfg = dict(type='Pretrained', checkpoint='{path}')
model = dict(backbone=dict(init_cfg=init_cfg))
"""
    bench.write('untrusted_init.py', text)
    key = 'model.backbone.init_cfg.checkpoint'
    return 'train.py', ['untrusted_init.py'], key


def to_resume(bench, path):
    folder = path.parent
    (folder / 'last_checkpoint').write_text(str(path))
    return 'train.py', ['kd.py', '--resume', '--work-dir', str(folder)], 'load_from'


def to_test(bench, path):
    return 'test.py', ['kd.py', str(path)], 'checkpoint'


def to_convert(bench, path):
    tool = 'model_converters/mdistiller2mmkd.py'
    return tool, [str(path), 'new.pth', '--network', 'resnet20'], 'checkpoint'


WAYS = {
    'teacher, in the config': in_the_config,
    'teacher': options('teacher.checkpoint'),
    '--teacher': by_teacher,
    "student's init": options('model.pretrained'),
    "backbone's init": in_init_cfg,
    'load_from': options('load_from'),
    'resume': to_resume,
    'resume by key': options('load_from', 'resume=True'),
    'test': to_test,
    'convert': to_convert,
}


@pytest.fixture
def untrusted(bench, kd, tmp_path):
    """Makes a file and says how it gets in; afterwards its code must not have run."""
    marker = tmp_path / 'marker'

    def make(kind, way):
        path = tmp_path / 'iter_4.pth'
        KINDS[kind][0](path, MakeFolder(marker))
        return path, *WAYS[way](bench, path)

    yield make
    assert not marker.exists()


def cases():
    """Each way with a file that OneDL's own loader runs, each kind by one way."""
    for kind, way in itertools.product(KINDS, WAYS):
        quick = kind == 'getattr' or way == 'teacher'
        yield pytest.param(kind, way, marks=[] if quick else pytest.mark.slow)


@pytest.mark.parametrize(('kind', 'way'), cases())
def test_refused(bench, untrusted, monkeypatch, kind, way):
    path, tool, arguments, key = untrusted(kind, way)
    monkeypatch.chdir(bench.folder)
    monkeypatch.setattr(sys, 'argv', [tool, *arguments])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(TOOLS / tool), run_name='__main__')
    error = left.value.code  # a text is printed, and the exit status is 1
    assert error.startswith(f"error: {key}: '{path}' {KINDS[kind][2]}")
    assert '\n' not in error


@pytest.mark.parametrize('way', WAYS)
def test_refused_by_the_process(bench, untrusted, way):
    path, tool, arguments, key = untrusted('zip', way)
    result = bench.run(tool, *arguments, code=1)
    assert 'Traceback' not in result.output
    lines = [line for line in result.output.splitlines() if 'error: ' in line]
    (error,) = lines
    assert error.startswith(f"error: {key}: '{path}' {REFUSED}")


def with_target(path, code):
    """Program of torch.export with a function that PyTorch's loader finds."""
    export(path)
    target = 'torch.serialization.os.mkdir'
    edit(path, lambda program: nodes(program)[0].update(target=target))


def with_secret(path, code):
    """ONNX graph that reads a file of another folder."""
    model = write_onnx(path)
    model.graph.initializer[0].data_location = 1
    location = dict(key='location', value='../secret')
    model.graph.initializer[0].external_data.add(**location)
    path.write_bytes(model.SerializeToString())


def truncated(make):
    def with_half(path, code):
        make(path, code)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return with_half


PROGRAMS = {
    'export': ('pt2', with_export, 'is a pickled object'),
    'target': ('pt2', with_target, "it uses the operator 'torch.serialization"),
    'truncated export': ('pt2', truncated(with_export), 'is not a complete program'),
    'onnx': ('onnx', with_secret, "it reads '../secret', a file outside its folder"),
    'truncated onnx': ('onnx', truncated(with_secret), 'is not a complete ONNX graph'),
    'torchscript': ('pt', with_torchscript, 'set teacher.allow_code=True'),
    'torchscript as export': ('pt2', with_torchscript, 'no exported program'),
    'torchscript as onnx': ('onnx', with_torchscript, 'is not a complete ONNX graph'),
    'pickle as onnx': ('onnx', with_pickle, 'is not a complete ONNX graph'),
}


@pytest.mark.parametrize('kind', PROGRAMS)
def test_refused_as_a_program(bench, kd, tmp_path, monkeypatch, kind):
    suffix, make, reason = PROGRAMS[kind]
    path, marker = tmp_path / f'a.{suffix}', tmp_path / 'marker'
    make(path, MakeFolder(marker))
    model = "dict(type='mmkd.TorchSegmentor', mean=[0.5] * 3)"
    text = f"teacher = dict(_delete_=True, model={model}, checkpoint='{path}')\n"
    bench.write('program.py', f"_base_ = 'kd.py'\n{text}")
    monkeypatch.chdir(bench.folder)
    monkeypatch.setattr(sys, 'argv', ['train.py', 'program.py'])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(TOOLS / 'train.py'), run_name='__main__')
    error = left.value.code
    assert error.startswith(f"error: teacher.checkpoint: '{path}' ")
    assert reason in error
    assert '\n' not in error
    assert not marker.exists()


def test_config_in_a_checkpoint_is_not_run(bench, teacher, tmp_path):
    """MMEngine's Runner runs it when it resumes."""
    marker, path = tmp_path / 'marker', tmp_path / 'iter_2.pth'
    checkpoint = torch.load(
        bench.folder / 'work_dirs/teacher/iter_2.pth', weights_only=False
    )
    checkpoint['meta']['config'] = f'import os\nos.mkdir({str(marker)!r})\n'
    torch.save(checkpoint, path)
    options = (f'load_from={path}', 'resume=True')
    result = bench.run(
        'train.py', 'teacher.py', '--work-dir', str(tmp_path), '--cfg-options', *options
    )
    assert result.iterations() == [3, 4]
    assert not marker.exists()


# What a run's config may hold: on each of them stock tools execute something.
RECORDED = {
    'code': "import os\nos.mkdir('{marker}')\n",
    'import': "custom_imports = dict(imports=['untrusted'])\n",
    'type': "model = dict(type='os.mkdir', path='{marker}')\n",
    'nested type': '',  # in the model
    "teacher's type": (
        "teacher = dict(model=dict(type='os.mkdir', path='{marker}'), checkpoint='a')\n"
    ),
    "teacher's path": "teacher = dict(config='untrusted.py', checkpoint='a.pth')\n",
    "teacher's switch": (
        "teacher = dict(model=dict(type='mmkd.TorchSegmentor', mean=[0, 0, 0]), "
        "checkpoint='{folder}/a.pt', allow_code=True)\n"
    ),
    "network's type": (
        "model = dict(type='mmkd.TorchSegmentor', mean=[0, 0, 0], module=dict("
        "type='torch.fx.graph_module.reduce_graph_module', body=dict(code='0'), "
        "import_block=\"__import__('os').mkdir('{marker}');\"))\n"
    ),
    "dataset's type": (
        "val_dataloader = dict(dataset=dict(type='os.mkdir', path='{marker}'))\n"
    ),
}


@pytest.mark.parametrize('kind', RECORDED)
def test_a_report_executes_nothing_of_a_run(
    bench, distilled, tmp_path, monkeypatch, kind
):
    marker, run = tmp_path / 'marker', tmp_path / 'kd'
    shutil.copytree(bench.folder / 'work_dirs/kd', run)
    (tmp_path / 'untrusted.py').write_text(f"import os\nos.mkdir('{marker}')\n")
    with_torchscript(tmp_path / 'a.pt', MakeFolder(marker))
    line = RECORDED[kind].format(marker=marker, folder=tmp_path)
    for path in run.glob('*/vis_data/config.py'):  # also of refused trainings
        settings = Config.fromfile(path)
        if kind == 'nested type':
            settings.model.backbone = dict(type='os.mkdir', path=str(marker))
            line = ''
        path.write_text(f'{settings.pretty_text}\n{line}')
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with suppress(SystemExit):
        report([str(run)])
    assert not marker.exists()
    if kind == "teacher's switch":
        page = (run / 'report' / 'report.html').read_text()
        assert 'a report executes no code of a run' in page
    elif kind != 'code':
        page = (run / 'report' / 'report.html').read_text()
        assert 'is not a registered class' in page or kind in (
            'import',
            "teacher's path",
        )


@pytest.mark.parametrize('key', ['trust_remote_code', 'use_kernels'])
def test_a_registered_class_may_not_execute_code(key):
    """Such as MMPretrain's wrapper of Transformers."""
    model = dict(type='mmpretrain.HuggingFaceClassifier', model_name='a/b')
    check_registered(dict(model=dict(model, **{key: False})))
    with pytest.raises(UserError, match=f'^model.{key}: a report executes no code'):
        check_registered(dict(model=dict(model, **{key: True})))


def test_types_of_ones_own(tmp_path, monkeypatch):
    """Are known once the user, not the run, has named their module."""
    text = """
from mmengine.registry import MODELS
from torch import nn
@MODELS.register_module()
class OfOnesOwn:
    pass
class Net(nn.Module):
    pass
def function():
    raise AssertionError
"""
    (tmp_path / 'of_ones_own.py').write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ('OfOnesOwn', 'of_ones_own.OfOnesOwn'):
        with pytest.raises(
            UserError, match=f"^a.type: '{name}' is not a registered class"
        ):
            check_registered(dict(a=dict(type=name)))
    import_modules(['of_ones_own'])
    for name in ('OfOnesOwn', 'of_ones_own.OfOnesOwn', 'of_ones_own.Net'):
        check_registered(dict(a=dict(type=name)))
    with pytest.raises(UserError, match='is not a registered class'):
        check_registered(dict(a=dict(type='of_ones_own.function')))
    with pytest.raises(UserError, match='--import absent: '):
        import_modules(['absent'])
