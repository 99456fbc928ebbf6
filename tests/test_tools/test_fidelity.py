"""FidelityMetric in a config, on one process and on two."""

import re
import shutil

import pytest
import torch

from .conftest import TOOLS
from .test_distributed import free_port

CONFIG = """
_base_ = 'kd.py'
val_evaluator = [_base_.val_evaluator, dict(type='mmkd.FidelityMetric')]
test_evaluator = val_evaluator
"""


@pytest.fixture(scope='module')
def trained(bench, kd):
    bench.write('fidelity.py', CONFIG)
    return bench.run('train.py', 'fidelity.py')


def validations(result):
    """The metrics of each, in words."""
    lines = re.findall(r'Iter\(val\) \[\d/\d\] (.*?) data_time', result.output)
    found = [dict(re.findall(r'(\S+): (\S+)', line)) for line in lines]
    return [metrics for metrics in found if 'mIoU' in metrics]


def test_training(bench, trained, distilled):
    first, last = validations(trained)
    assert first['teacher/mIoU'] == last['teacher/mIoU']
    assert float(first['fidelity/forward_kl']) != float(last['fidelity/forward_kl'])
    assert trained.metrics == distilled.metrics  # the training is the same


def test_testing_says_that_there_is_no_teacher(bench, trained):
    tested = bench.run('test.py', 'fidelity.py', 'work_dirs/fidelity/iter_4.pth')
    assert tested.metrics == trained.metrics[-1:]
    assert 'FidelityMetric: skipped, as there is no teacher' in tested.output
    assert 'fidelity/' not in tested.output.replace('work_dirs/fidelity/', '')


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason='for machines without a GPU')
def test_two_processes_find_what_one_does(bench, trained):
    """A run that is resumed at its end validates: five images, three on each."""
    work_dirs = bench.folder / 'work_dirs'
    shutil.copytree(work_dirs / 'fidelity', work_dirs / 'two')
    found = bench.shell(
        'bash', TOOLS / 'dist_train.sh', 'fidelity.py', 2, '--resume', '--work-dir',
        'work_dirs/two', PORT=free_port(),
    )  # fmt: skip
    assert found.code == 0, found.output[-4000:]
    assert validations(found) == validations(trained)[-1:]
