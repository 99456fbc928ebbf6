"""Two processes on a machine without a GPU: gloo, and SyncBN configs train as BN."""

import socket
from pathlib import Path

import pytest
import torch

TOOLS = Path(__file__).parents[2] / 'tools'

pytestmark = [
    pytest.mark.skipif(torch.cuda.is_available(), reason='for machines without a GPU'),
    pytest.mark.skipif(not torch.distributed.is_available(), reason='no gloo'),
]


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return str(probe.getsockname()[1])


@pytest.fixture(scope='module')
def trained(bench, kd):
    return bench.shell(
        'bash', TOOLS / 'dist_train.sh', kd, 2, '--work-dir', 'dist', PORT=free_port()
    )


def test_training(bench, kd, trained):
    assert 'SyncBN' in (bench.folder / 'work_dirs/teacher/teacher.py').read_text()
    assert trained.code == 0, trained.output[-4000:]
    assert trained.iterations() == [1, 2, 3, 4]  # logged by one process
    assert trained.output.count('Teacher on 5 of 5 images: ') == 1


def test_teacher_has_the_metric_of_one_process(distilled, trained):
    assert trained.metrics[0] == distilled.metrics[0]


def test_testing(bench, kd, trained):
    checkpoint = 'dist/iter_4.pth'
    tested = bench.shell(
        'bash', TOOLS / 'dist_test.sh', kd, checkpoint, 2, PORT=free_port()
    )
    assert tested.code == 0, tested.output[-4000:]
    alone = bench.run('test.py', kd, checkpoint)
    assert tested.metrics == alone.metrics
    assert tested.metrics == trained.metrics[-1:]


@pytest.mark.parametrize(
    'script', sorted(path.name for path in TOOLS.glob('*.sh')), ids=str
)
def test_usage(bench, script):
    done = bench.shell('bash', TOOLS / script)
    assert done.code != 0
    assert f'usage: {script} ' in done.output
