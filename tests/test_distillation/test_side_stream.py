"""A teacher on a CUDA stream of its own, and the points at which streams wait."""

import copy
from contextlib import contextmanager

import pytest
import torch
from mmengine.optim import OptimWrapper

from mmkd.distillation import Distiller, Teacher
from mmkd.distillation.side_stream import SideStream
from tests.conftest import build_distiller, random_batch

from .test_teachers import teachers  # noqa: F401  a fixture
from .test_unlabeled import losses_of, make, without_labels


class Stream:
    """CUDA stream that notes what is asked of it."""

    device = 'cuda'

    def __init__(self, name, log):
        self.name, self.log = name, log

    def wait_stream(self, other):
        self.log.append(f'{self.name} waits for {other.name}')


class Result:
    def __init__(self, log):
        self.log = log

    def record_stream(self, stream):
        self.log.append(f'{stream.name} uses the result')


@pytest.fixture
def log(monkeypatch):
    log = []
    main = Stream('main', log)

    @contextmanager
    def work_on(stream):
        log.append(f'work on {stream.name}')
        yield

    monkeypatch.setattr(torch.cuda, 'Stream', lambda device: Stream('side', log))
    monkeypatch.setattr(torch.cuda, 'current_stream', lambda device: main)
    monkeypatch.setattr(torch.cuda, 'stream', work_on)
    return log


def test_order(log):
    stream = SideStream()
    stream.join([Result(log)])
    assert log == []
    for _ in range(2):
        with stream.fork('cuda'):
            log.append('run')
        stream.join([Result(log)])
        stream.join([Result(log)])  # has nothing to wait for
        fork, join = log[:3], log[3:]
        assert fork == ['side waits for main', 'work on side', 'run']
        assert join == ['main waits for side', 'main uses the result']
        log.clear()


@pytest.mark.parametrize('several', [False, True])
def test_nothing_is_compared_before_the_wait(
    distiller_config, teachers, monkeypatch, several  # noqa: F811
):  # fmt: skip
    """Outputs that are right only after it give the same losses."""
    if several:
        distiller_config['teacher'] = teachers
    batches = random_batch(), without_labels()
    distiller = make(distiller_config)
    expected = losses_of(distiller, *batches)
    outputs = Teacher.outputs

    def late(self, *args, **kwargs):
        self.late = outputs(self, *args, **kwargs)
        return {tap: torch.zeros_like(value) for tap, value in self.late.items()}

    def wait(self, outputs):
        for tap, value in outputs.items():
            value.copy_(self.late[tap])

    monkeypatch.setattr(Teacher, 'outputs', late)
    monkeypatch.setattr(Teacher, 'wait', wait)
    found = losses_of(distiller, *batches)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6)


def test_training_stays_the_same(distiller_config, device):
    """With labeled and unlabeled images, for some steps."""
    states = []
    batches = [(random_batch(), without_labels()) for _ in range(4)]
    student = build_distiller(distiller_config, initialize=False).student
    for overlap in (False, True):
        teacher = dict(distiller_config['teacher'], overlap=overlap)
        losses = distiller_config['distill_losses']
        distiller = Distiller(copy.deepcopy(student), teacher, losses, unlabeled={})
        torch.manual_seed(0)
        distiller.init_weights()
        distiller.to(device).train()
        wrapper = OptimWrapper(torch.optim.SGD(distiller.parameters(), 0.01))
        for labeled, distiller.unlabeled.batch in copy.deepcopy(batches):
            distiller.train_step(labeled, wrapper)
        states.append(distiller.state_dict())
    close = dict(rtol=1e-3, atol=1e-4)  # backward passes on a GPU are not deterministic
    torch.testing.assert_close(*states, **close)
