"""Times of student, teacher and losses, with a clock that only the networks advance."""

import copy
import json
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper

from mmkd.distillation import Distiller, stopwatch
from mmkd.distillation.stopwatch import LOSSES, STUDENT, TEACHER, Stopwatch
from mmkd.losses.schedule import Progress
from tests.conftest import build_distiller, build_runner, random_batch

from .test_distill_hook import Images
from .test_teachers import teachers  # noqa: F401  a fixture
from .test_unlabeled import without_labels

CLOCK = SimpleNamespace(now=0.0)


class Spend(torch.autograd.Function):
    """Let time pass in the forward and the backward pass."""

    @staticmethod
    def forward(ctx, value, forward, backward):
        CLOCK.now += forward
        ctx.backward = backward
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        CLOCK.now += ctx.backward
        return gradient, None, None


def spend(module, forward, backward=0):
    module.register_forward_hook(lambda *args: Spend.apply(args[2], forward, backward))


@pytest.fixture
def clock(monkeypatch):
    fake = SimpleNamespace(perf_counter=lambda: CLOCK.now)
    monkeypatch.setattr(stopwatch, 'time', fake)


def slow(config, **options):
    """Distiller that has trained a step, and whose parts then take their time."""
    student = build_distiller(config, initialize=False).student
    losses = config['distill_losses']
    distiller = Distiller(student, config['teacher'], losses, **options)
    distiller.init_weights()
    distiller.train()
    step(distiller)
    for teacher in distiller.teacher.members.values():
        spend(teacher.model.decode_head.conv_seg, 1)
    spend(student.decode_head.bottleneck, 10, 100)
    spend(student.backbone.layer4, 20, 200)
    spend(student.decode_head.loss_decode, 40, 400)
    for loss in distiller.losses:
        spend(loss.loss, 1000, 10000)
    return distiller


def step(distiller, unlabeled=None):
    wrapper = OptimWrapper(torch.optim.SGD(distiller.parameters(), 0.01))
    if distiller.unlabeled is not None:
        distiller.unlabeled.batch = unlabeled
    distiller.train_step(random_batch(), wrapper)


def measured(distiller, *args):
    distiller.stopwatch.start(torch.device('cpu'))
    step(distiller, *args)
    distiller.stopwatch.stop()
    (seconds,) = distiller.stopwatch.read()
    return seconds


FEATURE = dict(type='AttentionTransferLoss')
AUTO = dict(type='KDLoss', loss_weight='auto', balance_iterations=1)


@pytest.mark.parametrize('added', [{}, dict(loss_a=FEATURE), dict(loss_b=AUTO)])
def test_parts(clock, distiller_config, added):
    """The backward pass of a loss is the loss's, that of the networks the student's."""
    distiller_config['distill_losses'] |= added
    distiller = slow(distiller_config)
    number = 1 + len(added)
    expected = {STUDENT: 770, TEACHER: 1, LOSSES: 11000 * number}
    assert measured(distiller) == expected


def test_an_automatic_weight_belongs_to_the_losses(clock, distiller_config):
    """Both gradients at the tap, in the iterations that measure it."""
    loss = dict(AUTO, balance_iterations=2)
    distiller_config['distill_losses'] = dict(loss_kd=loss)
    assert measured(slow(distiller_config))[LOSSES] == 11000 + 10000 + 400


def test_unlabeled_images(clock, distiller_config):
    distiller = slow(distiller_config, unlabeled={})
    expected = {STUDENT: 770 + 330, TEACHER: 2, LOSSES: 22000}
    assert measured(distiller, without_labels()) == expected
    assert measured(distiller) == {STUDENT: 770, TEACHER: 1, LOSSES: 11000}


def test_several_teachers(clock, distiller_config, teachers):  # noqa: F811
    distiller_config['teacher'] = teachers
    assert measured(slow(distiller_config))[TEACHER] == 2


def test_a_loss_that_has_ended(clock, distiller_config):
    """Neither it nor its teacher takes time."""
    distiller_config['distill_losses']['loss_kd']['schedule'] = dict(stop=1)
    distiller = slow(distiller_config)
    distiller.progress = Progress(iteration=1)
    assert measured(distiller) == {STUDENT: 770, TEACHER: 0, LOSSES: 0}


def test_gradients_stay_the_same(distiller_config):
    """Bit-identical to those of a step that is not measured."""
    gradients = []
    batch, distiller = random_batch(), build_distiller(distiller_config).train()
    for watched in (False, True):
        distiller.zero_grad()
        if watched:
            distiller.stopwatch.start(torch.device('cpu'))
        torch.manual_seed(1)
        data = distiller.data_preprocessor(copy.deepcopy(batch), True)
        total, _ = distiller.parse_losses(distiller(**data, mode='loss'))
        total.backward()
        gradients.append([p.grad.clone() for p in distiller.parameters()])
    assert all(map(torch.equal, *gradients))


class Event:
    """CUDA event; the GPU has come to number ``done``."""

    recorded, done = 0, 0

    def __init__(self, enable_timing):
        assert enable_timing

    def record(self, stream):
        Event.recorded += 1
        self.number = Event.recorded

    def query(self):
        return self.number <= Event.done

    def elapsed_time(self, end):
        assert end.query()  # waits for nothing
        return 1000.0 * (end.number - self.number)


def test_events_are_read_when_they_have_passed(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'Event', Event)
    monkeypatch.setattr(torch.cuda, 'current_stream', lambda device: None)
    watch = Stopwatch()
    for _ in range(2):
        watch.start(torch.device('cuda'))
        with watch.measure(TEACHER):
            pass
        watch.stop()
    assert list(watch.read()) == []
    Event.done = 6
    assert list(watch.read()) == [{STUDENT: 2, TEACHER: 1, LOSSES: 0}]
    assert list(watch.read()) == []
    Event.done = 8
    assert len(list(watch.read())) == 1


def test_on_each_device(distiller_config, device):
    """The parts add up to no more than the step."""
    distiller = build_distiller(distiller_config).train().to(device)
    step(distiller)
    distiller.stopwatch.start(torch.device(device))
    step(distiller)
    distiller.stopwatch.stop()
    if device == 'cuda':
        torch.cuda.synchronize()
    (seconds,) = distiller.stopwatch.read()
    assert all(value > 0 for value in seconds.values())
    assert sum(seconds.values()) < 30


def test_logged(distiller_config, tmp_path):
    """To console, scalars.json and hub, each iteration; the loss sums losses only."""
    runner = build_runner(
        distiller_config,
        work_dir=str(tmp_path),
        train_dataloader=dict(
            dataset=Images(),
            batch_size=2,
            sampler=dict(type='InfiniteSampler'),
            collate_fn=dict(type='pseudo_collate'),
        ),
        train_cfg=dict(by_epoch=False, max_iters=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
        log_processor=dict(by_epoch=False, window_size=1),
        experiment_name=tmp_path.name,
    )
    runner.train()
    (path,) = tmp_path.glob('*/vis_data/scalars.json')
    for line in path.read_text().splitlines():
        log = json.loads(line)
        parts = [log[f'time_{part}'] for part in (STUDENT, TEACHER, LOSSES)]
        assert min(parts) > 0
        assert sum(parts) <= log['time'] - log['data_time']
        losses = [v for name, v in log.items() if 'loss_' in name]
        assert log['loss'] == pytest.approx(sum(losses), rel=1e-5)
    (path,) = tmp_path.glob('*/*.log')
    assert path.read_text().count('time_losses: ') == 2
    for part in (STUDENT, TEACHER, LOSSES):
        assert len(runner.message_hub.get_scalar(f'train/time_{part}').data[0]) == 2
