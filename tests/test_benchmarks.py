import json
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
