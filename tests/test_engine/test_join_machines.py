"""Missing machines are named within the time limit."""

import multiprocessing
import socket
import time
from types import SimpleNamespace

import pytest

from mmkd.engine import join_machines as module
from mmkd.engine.join_machines import join_machines
from mmkd.errors import UserError
from tests.conftest import HANGS


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def join(answers, *arguments):
    """A machine; answers what it finds."""
    try:
        store = join_machines('127.0.0.1', *arguments)
    except UserError as error:
        answers.put(str(error))
    else:
        answers.put('')
        time.sleep(1)  # torchrun
        del store


def several(port, ranks, number):
    """Results of all machines."""
    context = multiprocessing.get_context('fork')
    answers = context.Queue()
    arguments = [(answers, port, rank, number) for rank in ranks]
    processes = [context.Process(target=join, args=each) for each in arguments]
    for process in processes:
        process.start()
    found = [answers.get(timeout=HANGS) for _ in processes]
    for process in processes:
        process.join()
    return found


def test_all_are_there(port):
    assert several(port, [1, 0], 2) == ['', '']


def test_every_machine_names_the_missing_ones(port, monkeypatch):
    monkeypatch.setenv('JOIN_TIMEOUT', '2')
    found = several(port, [2, 0], 4)
    assert len(found) == 2
    for text in found:
        missing = 'machine 1, machine 3'
        assert text.startswith(f'NNODES=4: no connection from {missing} within 2 s')


@pytest.mark.parametrize('rank', [0, 1])
def test_within_two_minutes(port, monkeypatch, rank):
    """Use a clock that advances one second per call."""
    clock = iter(range(1000))
    fake = SimpleNamespace(monotonic=lambda: next(clock), sleep=lambda _: None)
    monkeypatch.setattr(module, 'time', fake)
    missing = f'machine 0 (MASTER_ADDR=127.0.0.1, PORT={port})' if rank else 'machine 1'
    with pytest.raises(UserError) as raised:
        join_machines('127.0.0.1', port, rank, 2)
    assert f' {missing} within 100 s (JOIN_TIMEOUT)' in str(raised.value)
    assert next(clock) < 120


@pytest.mark.parametrize('seconds', ['soon', '', '-1'])
def test_a_timeout_that_is_no_number(port, monkeypatch, seconds):
    monkeypatch.setenv('JOIN_TIMEOUT', seconds)
    with pytest.raises(UserError, match=f"^JOIN_TIMEOUT: '{seconds}' is not a whole "):
        join_machines('127.0.0.1', port, 0, 2)
