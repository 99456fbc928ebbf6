"""Explanation of lost connections to other processes."""

import multiprocessing
import time

import pytest
import torch

from mmkd.engine import lost_process
from mmkd.engine.end_with_launcher import VARIABLE, end_with_launcher
from tests.conftest import HANGS

CLOSED = '[.../gloo/transport/tcp/pair.cc:561] Connection closed by peer [::1]:5310.'
TIMEOUT = '[.../gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 5000ms'


@pytest.fixture(autouse=True)
def rank(monkeypatch):
    monkeypatch.setenv('RANK', '0')
    monkeypatch.setattr(time, 'sleep', lambda _: None)


@pytest.mark.parametrize(
    ('error', 'others', 'expected'),
    [
        (CLOSED, {1: 'Z', 2: 'S'}, 'lost its connection to process 1, which ended'),
        (CLOSED, {1: 'Z', 2: 'Z'}, 'to process 1, process 2, which ended'),
        (CLOSED, {1: 'S'}, 'lost its connection to another process'),
        (TIMEOUT, {1: 'T'}, 'waited too long for process 1, which is stopped'),
        (TIMEOUT, {1: 'S'}, 'waited too long for another process'),
        (TIMEOUT, {}, 'env_cfg.dist_cfg.timeout'),
    ],
)
def test_named(error, others, expected):
    text = lost_process.explain(RuntimeError(error), lambda: others)
    assert text.startswith('process 0 ')
    assert expected in text


@pytest.mark.parametrize(
    'error',
    [
        RuntimeError('mat1 and mat2 shapes cannot be multiplied, timeout'),
        torch.distributed.DistBackendError('NCCL error: invalid usage'),
    ],
)
def test_other_errors_keep_their_traceback(error):
    assert lost_process.explain(error) is None


def ends(variables):
    """The exit status of a process of torchrun, with these variables."""
    context = multiprocessing.get_context('fork')
    process = context.Process(target=start, args=(variables,))
    process.start()
    process.join(HANGS)
    return process.exitcode


def start(variables):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        end_with_launcher()


def test_a_launcher_that_was_gone_before():
    assert ends({VARIABLE: '1'}) == 0  # not by torchrun
    assert ends({'TORCHELASTIC_RUN_ID': 'x'}) == 0
    assert ends({VARIABLE: '1', 'TORCHELASTIC_RUN_ID': 'x'}) == 1
