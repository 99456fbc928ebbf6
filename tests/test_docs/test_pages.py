"""Commands, files and Python code of README and docs run as written.

Each page runs in order, in a folder that looks like a clone with the data and files
that the page requires. Trainings take two iterations, see ``small.py``; make and pip
only print their actions, as tests install nothing.
"""

import multiprocessing
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
import torch

from mmkd.deployment.onnx_export import EXPORTER
from tests.conftest import HANGS
from tests.test_tools.conftest import environment

from .blocks import read_blocks
from .clone import REPO, write_clone
from .fast_python import serve, write_shim

PAGES = [REPO / 'README.md', *sorted(REPO.glob('docs/*.md'))]
BLOCKS = {page.name: read_blocks(page) for page in PAGES}
LEFT_OUT = [block for blocks in BLOCKS.values() for block in blocks if block.needs]
# More than ten seconds on a core each.
SLOW = (
    'any_network',
    'choose_a_method',
    'cluster',
    'coming_from',
    'deployment',
    'exported_teachers',
    'own_networks_and_data',
    'recommended_pairs',
    'several_teachers',
    'speed',
    'troubleshooting',
)
DRY = dict(
    MAKEFLAGS='n',
    PIP_DRY_RUN='1',
    PIP_NO_BUILD_ISOLATION='0',
    PIP_NO_DEPS='1',
    PIP_NO_INDEX='1',
)
CPU = dict(CUDA_VISIBLE_DEVICES='')  # as the pages run on a machine without a GPU
SCENES = 'tools/dataset_converters/street_scenes.py'


def run(script: str, folder: Path, variables: dict[str, str]) -> str:
    """Runs a script of bash; returns what it prints."""
    done = subprocess.run(
        ['bash', '-c', f'set -euo pipefail\n{script}'],
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=HANGS,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@pytest.fixture(scope='session')
def variables(tmp_path_factory):
    """The environment of a shell whose ``python`` is fast."""
    folder = tmp_path_factory.mktemp('bin')
    python, address = folder / 'python', folder / 'socket'
    write_shim(python, address)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen()
        # A new interpreter, which looks for GPUs itself.
        process = multiprocessing.get_context('spawn').Process
        server = process(target=serve, args=(listener, str(python)))
        with pytest.MonkeyPatch.context() as patch:
            for name, value in CPU.items():
                patch.setenv(name, value)
            server.start()
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = str(probe.getsockname()[1])
    found = environment()
    path = os.pathsep.join([str(folder), found['PATH']])
    yield {**found, **DRY, **CPU, 'PATH': path, 'PORT': port}
    server.kill()
    server.join()


@pytest.fixture(scope='session')
def clone(tmp_path_factory, variables):
    """A folder with all that the pages take as given."""
    clone = tmp_path_factory.mktemp('clone')
    write_clone(clone)
    run(f'python {SCENES} --out data/cityscapes --size 64 128', clone, variables)
    return clone


@pytest.mark.parametrize(
    'page',
    [
        pytest.param(name, marks=[pytest.mark.slow] if Path(name).stem in SLOW else [])
        for name in BLOCKS
        if BLOCKS[name]
    ],
)
def test_page(page, clone, variables, tmp_path):
    folder = tmp_path / 'clone'
    shutil.copytree(clone, folder, symlinks=True)
    script = ''.join(
        f'echo "--- {block.place}"\n{block.script}'
        for block in BLOCKS[page]
        if block not in LEFT_OUT
    )
    if 'mmkd export' in script and torch.__version__ < EXPORTER:
        pytest.skip('exporting is refused before')
    said = run(script, folder, variables)
    assert 'does not provide the extra' not in said  # pip only warns


def test_why_blocks_are_left_out():
    assert {block.needs for block in LEFT_OUT} <= {'a GPU', 'a cluster', 'your data'}


@pytest.mark.parametrize('block', LEFT_OUT, ids=lambda block: block.place)
def test_blocks_that_are_left_out(block):
    """Other blocks are valid bash and name existing files."""
    subprocess.run(['bash', '-n', '-c', block.text], check=True)
    for word in block.text.split():
        if word.startswith(('tools/', 'configs/')):
            assert (REPO / word).exists(), word
