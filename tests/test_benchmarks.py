import json
import re
import runpy
import sys

import pytest
import torch
from PIL import Image

from tests.test_tools.conftest import REPO, Workbench

BENCHMARKS = REPO / 'benchmarks'


@pytest.fixture(scope='module')
def measuring():
    return runpy.run_path(str(BENCHMARKS / 'measuring.py'))


def test_times_of_each_variant(measuring):
    ran = []
    variants = {name: lambda name=name: ran.append(name) for name in 'ab'}
    found = measuring['times'](variants, 'cpu', 3)
    assert ran == list('abababab')  # in turns, the first to warm up
    assert all(0 <= ms < 100 for ms in found.values())


def test_peak_of_concurrent_allocations(measuring):
    def run():
        a = torch.ones(1000)
        b = a + 1
        del a
        return b * 2

    assert 8000 <= measuring['peak'](run, 'cpu') < 9000


def test_losses(tmp_path):
    """The whole benchmark, on small maps."""
    bench = Workbench(tmp_path)
    script = BENCHMARKS / 'loss.py'
    result = bench.shell(
        sys.executable, script, '--size', 32, 64, '--repeats', 1, '--no-compile',
        '--out', 'results',
    )  # fmt: skip
    assert result.code == 0, result.output
    content = json.loads((tmp_path / 'results/loss_19x32x64_cpu.json').read_text())
    names = [row['loss'] for row in content['rows']]
    assert names[:2] == ['BDD + LS, eager', 'BDD + LS, fused']
    eager, fused, *_ = (row['peak, full-size tensors'] for row in content['rows'])
    assert fused < eager
    assert content['machine']['torch'] == torch.__version__
    with Image.open(tmp_path / 'results/loss_19x32x64_cpu.png') as picture:
        picture.verify()


def kernel_benchmark(bench, *command):
    pytest.importorskip('triton', reason='PyTorch brings it on Linux with CUDA builds')
    cache = str(bench.folder / 'triton')
    return bench.shell(sys.executable, *command, TRITON_CACHE_DIR=cache)


# All GPUs, or only those that are different from most.
@pytest.mark.parametrize(
    'options',
    [
        ['--capabilities', 80, 100, '--classes', 19],
        pytest.param([], marks=pytest.mark.slow),
    ],
)
def test_no_launch_of_the_kernel_spills(tmp_path, options):
    script = BENCHMARKS / 'kernel.py'
    result = kernel_benchmark(Workbench(tmp_path), script, *options, '--out', 'results')
    assert result.code == 0, result.output
    rows = json.loads((tmp_path / 'results/kernel_cpu.json').read_text())['rows']
    assert len(rows) == (2 if options else 24)
    for row in rows:
        assert row['spilled, bytes'] == 0
        registers = [int(x) for name, x in row.items() if name.startswith('registers')]
        assert len(registers) == 3
        assert max(registers) <= 128


def test_a_launch_that_spills_is_an_error(tmp_path):
    """Sixteen pixels in each lane do not fit into its registers."""
    code = f"""
import os, runpy, sys
os.environ['TRITON_INTERPRET'] = '0'
from mmkd.ops import triton_kernel
triton_kernel.LAUNCHES = [triton_kernel.Launch(512, 1)]
sys.path.insert(0, {str(BENCHMARKS)!r})
runpy.run_path({str(BENCHMARKS / 'kernel.py')!r}, run_name='__main__')
"""
    result = kernel_benchmark(
        Workbench(tmp_path), '-c', code, '--capabilities', 80, '--classes', 19
    )
    assert result.code == 1, result.output
    assert 'bytes: sm_80 (A100), 19, Launch(pixels=512, num_warps=1' in result.output


def test_startup_runs_the_code_of_each_checkout(tmp_path, monkeypatch):
    """Also if it is started in another checkout."""
    package = tmp_path / 'mmkd/cli'
    package.mkdir(parents=True)
    program = 'import sys\nsys.exit(f"other: {sys.argv[1]}")'
    (package / '__main__.py').write_text(program)
    for folder in (package, package.parent):
        (folder / '__init__.py').touch()
    monkeypatch.chdir(REPO)
    monkeypatch.syspath_prepend(BENCHMARKS)
    startup = runpy.run_path(str(BENCHMARKS / 'startup.py'))
    with pytest.raises(SystemExit, match='other: --help'):
        startup['run'](tmp_path, ['--help'])


@pytest.mark.slow
def test_startup(tmp_path):
    """The whole benchmark, with few files."""
    bench = Workbench(tmp_path)
    script = BENCHMARKS / 'startup.py'
    result = bench.shell(
        sys.executable, script, '--images', 10, '--runs', 7, '--repeats', 1,
        '--out', 'results',
    )  # fmt: skip
    assert result.code == 0, result.output
    content = json.loads((tmp_path / 'results/startup_cpu.json').read_text())
    *usage, train, report = (row['CPU s'] for row in content['rows'])
    assert max(usage) < 1 < min(train, report)


@pytest.mark.slow
def test_all(tmp_path):
    """Each part writes its results; the training logs what student and teacher take."""
    result = Workbench(tmp_path).shell(
        sys.executable, BENCHMARKS / 'all.py', '--minutes', 30, '--repeats', 1,
        '--iterations', 2, '--out', 'results',
    )  # fmt: skip
    assert result.code == 0, result.output
    names = {path.stem for path in (tmp_path / 'results').glob('*.json')}
    assert names == {'loss_19x128x256_cpu', 'teacher_cpu', 'step_cpu', 'training_cpu'}
    (row,) = json.loads((tmp_path / 'results/training_cpu.json').read_text())['rows']
    assert min(v for name, v in row.items() if name != 'training') > 0
    assert 0 < row['distillation, %'] < 100
    assert f'torch {torch.__version__}' in result.output


@pytest.mark.slow
def test_all_ends_in_time(tmp_path):
    """Parts that have not finished by then are named, and the others still tried."""
    result = Workbench(tmp_path).shell(
        sys.executable, BENCHMARKS / 'all.py', '--minutes', 0, '--parts', 'loss',
        'teacher',
    )  # fmt: skip
    assert result.code == 1
    for name in ('loss', 'teacher'):
        assert re.search(rf'^{name}: .*timed out', result.output, re.M)
