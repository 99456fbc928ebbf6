"""Trainings of one weight, interrupted and resumed within this process."""

import json
import signal
import time
from contextlib import suppress

import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel

from mmkd import Runner
from mmkd.engine.hooks import SaveOnSignalHook

DATA = torch.rand(6, generator=torch.manual_seed(0)).double()


class Model(BaseModel):
    """One weight, which each step makes smaller."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1, dtype=torch.double))

    def forward(self, x, mode='tensor'):
        if mode == 'loss':
            return dict(loss=((self.weight + 2) * x).square().sum())
        return [self.weight.item()]


class Score(BaseMetric):
    """The weight: the first validation is the best one."""

    def process(self, data_batch, data_samples):
        self.results.extend(data_samples)

    def compute_metrics(self, results):
        return dict(mIoU=results[0], other=results[0] / 2)


class Killed(Exception):
    """The end of a run at a moment at which nothing is saved."""


class Interrupt(Hook):
    """End a run after some iterations or validation batches, or signal it to end."""

    priority = 'VERY_HIGH'

    def __init__(self, kill_after=0, kill_in_validation=0, signal_after=0):
        self.kill_after = kill_after
        self.kill_in_validation = kill_in_validation
        self.signal_after = signal_after

    def before_train_iter(self, runner, *args, **kwargs):
        if self.kill_after and runner.iter == self.kill_after:
            raise Killed

    def after_train_iter(self, runner, *args, **kwargs):
        if runner.iter + 1 == self.signal_after:
            (hook,) = [h for h in runner.hooks if isinstance(h, SaveOnSignalHook)]
            hook.received = signal.SIGTERM

    def after_val_iter(self, runner, *args, **kwargs):
        if runner.iter == self.kill_in_validation:
            raise Killed


def run(work_dir, loop, interrupt=None, batch_size=2, loader=None, **options):
    """Start or resume a training of three batches an epoch, and return its Runner."""
    by_epoch = loop['by_epoch']
    data = dict(
        dataset=[dict(x=x) for x in DATA],
        batch_size=batch_size,
        sampler=dict(type='DefaultSampler', shuffle=True),
        collate_fn=dict(type='default_collate'),
    )
    checkpoint = dict(type='CheckpointHook', by_epoch=by_epoch, save_best='mIoU')
    checkpoint.update(options.pop('checkpoint', {}))
    wrapper = dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9))
    wrapper.update(options.pop('optim_wrapper', {}))
    runner = Runner(
        Model(),
        str(work_dir),
        train_dataloader=loader or data,
        val_dataloader=dict(data),
        train_cfg=dict(loop),
        val_cfg=dict(),
        val_evaluator=[Score()],
        optim_wrapper=wrapper,
        resume=True,
        randomness=dict(seed=0),
        default_hooks=dict(
            logger=dict(type='LoggerHook', log_metric_by_epoch=by_epoch),
            checkpoint=checkpoint,
        ),
        log_processor=dict(by_epoch=by_epoch),
        experiment_name=f'{work_dir.name}_{time.monotonic_ns()}',
        **options,
    )
    if interrupt is not None:
        runner.register_hook(interrupt)
    with suppress(Killed, SystemExit):
        runner.train()
    return runner


def validations(work_dir):
    """Return the steps that the last attempt in a folder has validated."""
    paths = list(work_dir.glob('*/vis_data/scalars.json'))
    lines = [json.loads(line) for p in paths for line in p.read_text().splitlines()]
    for path in paths:
        path.unlink()  # the next attempt may have the same second's name
    return [line['step'] for line in lines if 'mIoU' in line]
