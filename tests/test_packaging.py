"""Contents of an installation, and its parts that work without the OpenMMLab stack."""

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from email import message_from_string
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.conftest import HANGS

REPO = Path(__file__).parents[1]

# As if the stack were not installed, in two ways: absent, or kept out.
ABSENT = """
import sys
class Without:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, *args):
        if name.partition('.')[0] in ('mmengine', 'mmcv', 'mmseg', 'mmpretrain'):
            return None
        return self.finder.find_spec(name, *args)
sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""
KEPT_OUT = """
import sys
class Bar:
    def find_spec(self, name, *args):
        if name.partition('.')[0] in ('mmengine', 'mmcv', 'mmseg', 'mmpretrain'):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
sys.meta_path.insert(0, Bar())
"""


def python(code, *, cwd=REPO, **env):
    return subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        cwd=cwd,
        env={**os.environ, 'OMP_NUM_THREADS': '1', **env},
        capture_output=True,
        text=True,
        timeout=HANGS,
    )


@pytest.mark.parametrize('without', [ABSENT, KEPT_OUT], ids=['absent', 'kept_out'])
def test_functional_needs_torch_alone(without):
    code = (
        'import mmkd, mmkd.functional, torch\n'
        'print(mmkd.__version__)\n'
        'teacher = torch.tensor([[1.0, 4.0, 3.0, 2.0]])\n'
        'student = torch.tensor([[1.0, 2.8, 3.0, 2.0]])\n'
        'print(mmkd.functional.kl_divergence(student, teacher))\n'
    )
    done = python(without + code)
    assert done.returncode == 0, done.stderr
    assert 'tensor([0.1749])' in done.stdout


@pytest.mark.parametrize(
    'module',
    [
        'models',
        'datasets',
        'evaluation',
        'registry',
        'deployment',
        'visualization',
        'engine.runner',
        'engine.hooks',
    ],
)
def test_the_rest_names_the_missing_extra(module):
    done = python(f'{ABSENT}import mmkd.{module}')
    assert done.returncode == 1
    *_, error = done.stderr.strip().splitlines()
    assert error.startswith('ImportError: this part of mmkd needs the OpenMMLab stack')
    assert "pip install 'mmkd[onedl]'" in error


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """A wheel of this checkout, built in a copy: building leaves things behind."""
    pytest.importorskip('setuptools', '77')
    folder = tmp_path_factory.mktemp('wheel')
    source = folder / 'source'
    source.mkdir()
    for name in ('mmkd', 'configs', 'tools'):
        shutil.copytree(
            REPO / name,
            source / name,
            symlinks=True,
            ignore=shutil.ignore_patterns('__pycache__'),
        )
    files = ('pyproject.toml', 'README.md', 'LICENSE', 'model-index.yml')
    for name in files:
        shutil.copy(REPO / name, source)
    command = [sys.executable, '-m', 'pip', 'wheel', '.', '--no-deps', '-q']
    done = subprocess.run(
        [*command, '--no-build-isolation', '-w', str(folder)],
        cwd=source,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob('mmkd-*.whl')
    return path


def test_wheel_holds_configs_and_tools(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        linked = [i for i in archive.infolist() if (i.external_attr >> 28) == 0o12]
        text = archive.read('mmkd/.mim/configs/_base_/default_runtime.py')
    assert not linked  # the checkout's links would lead nowhere
    assert text == (REPO / 'configs/_base_/default_runtime.py').read_bytes()

    files = [
        file.relative_to(REPO).as_posix()
        for folder, suffixes in (
            ('mmkd', ['.py', '.html']),
            ('configs', ['.py', '.yml']),
            ('tools', ['.py', '.sh']),
        )
        for file in (REPO / folder).rglob('*')
        if file.suffix in suffixes and '.mim' not in file.parts
    ]
    assert {'mmkd/__init__.py', 'tools/train.py'} < set(files)
    expected = {f if f.startswith('mmkd/') else f'mmkd/.mim/{f}' for f in files}
    held = {name for name in names if '.dist-info/' not in name}
    assert held == expected | {'mmkd/.mim/model-index.yml'}
    assert any(name.endswith('/LICENSE') for name in names)


@pytest.fixture(scope='module')
def metadata(wheel):
    """Texts of the wheel's dist-info, by file name."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            name.rpartition('/')[2]: archive.read(name).decode()
            for name in archive.namelist()
            if '.dist-info/' in name
        }


def test_console_command(metadata):
    assert 'mmkd = mmkd.cli:main' in metadata['entry_points.txt']


def imported_modules():
    """Names of the modules that mmkd imports, at whatever place."""
    for file in (REPO / 'mmkd').rglob('*.py'):
        if '.mim' in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition('.')[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                yield node.module.partition('.')[0]


@pytest.mark.parametrize('backend', ['tensorboard', 'wandb'])
def test_backends_that_the_docs_name_are_in_an_extra(metadata, backend):
    requirements = metadata['METADATA'].replace('"', "'")
    assert f"Requires-Dist: {backend}; extra == 'track'" in requirements
    assert "pip install -e '.[track]'" in (REPO / 'docs/reference.md').read_text()


def test_every_imported_package_is_declared(metadata):
    declared = {
        re.match(r'[\w.-]+', requirement)[0].lower()
        for requirement in message_from_string(metadata['METADATA']).get_all(
            'Requires-Dist'
        )
        if "extra == 'dev'" not in requirement.replace('"', "'")
    }
    own = {'mmkd', 'triton'}  # Triton is a part of PyTorch's GPU builds
    others = set(imported_modules()) - set(sys.stdlib_module_names) - own
    assert {'torch', 'mmseg', 'PIL', 'onnxruntime'} <= others
    installed = packages_distributions()
    undeclared = [
        name
        for name in others
        if not declared & {each.lower() for each in installed.get(name, [name])}
    ]
    assert not undeclared


DOWNSTREAM = """
_base_ = 'mmkd::bdd_ls/{name}'
teacher = dict(checkpoint='teacher.pth')
data_root = 'camvid'
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root=data_root),
)
val_dataloader = dict(
    num_workers=0, persistent_workers=False, dataset=dict(data_root=data_root)
)
train_cfg = dict(max_iters=2, val_interval=2)
default_hooks = dict(checkpoint=dict(interval=2))
"""


def test_configs_as_bases_of_another_project(wheel, tmp_path):
    """A config on ``mmkd::...``, of the installed wheel, trains.

    MMEngine would have everything from such a base looked up in mmkd's scope alone.
    """
    pytest.importorskip('mmseg')
    np = pytest.importorskip('numpy')
    image = pytest.importorskip('PIL.Image')
    site = tmp_path / 'site'
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    for folder in ('train', 'trainannot', 'val', 'valannot'):
        (tmp_path / 'camvid' / folder).mkdir(parents=True)
        for name in 'ab':
            labels = np.arange(64 * 96).reshape(64, 96) // 512
            pixels = labels if folder.endswith('annot') else np.dstack([labels] * 3)
            file = tmp_path / 'camvid' / folder / f'{name}.png'
            image.fromarray(pixels.astype(np.uint8)).save(file)
    (base,) = (REPO / 'configs').glob('bdd_ls/*_camvid-240x240.py')
    (tmp_path / 'mine.py').write_text(DOWNSTREAM.format(name=base.name))
    code = f"""
import sys, torch
import mmkd
assert mmkd.__file__.startswith({str(site)!r}), mmkd.__file__
from mmengine.registry import MODELS, DefaultScope
from mmkd.cli.train import main
from mmkd.engine.config import read_config

config = read_config('mine.py')
assert '_scope_' not in config.pretty_text, config.pretty_text
with DefaultScope.overwrite_default_scope('mmseg'):
    teacher = MODELS.build(read_config(config.teacher.config).model)
torch.save(teacher.state_dict(), 'teacher.pth')
main(['mine.py', '--work-dir', 'out'])
"""
    done = python(code, cwd=tmp_path, PYTHONPATH=str(site))
    assert done.returncode == 0, done.stderr[-4000:]
    assert (tmp_path / 'out/last_checkpoint').read_text().endswith('iter_2.pth')
    (log,) = (tmp_path / 'out').glob('*/*.log')
    assert 'Teacher on 2 of 2 images' in log.read_text()
