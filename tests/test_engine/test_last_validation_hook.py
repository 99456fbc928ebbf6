"""Runs that were stopped at or near their end."""

import json
import signal
import time

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel

from mmkd import Runner
from mmkd.engine.hooks import SaveOnSignalHook

ITERATIONS = dict(by_epoch=False, max_iters=8, val_interval=4)
EPOCHS = dict(by_epoch=True, max_epochs=2)  # of four iterations


class Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x, mode='tensor'):
        return dict(loss=(self.weight * x).sum()) if mode == 'loss' else [x]


class Count(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        return dict(mIoU=float(len(results)))


class Stop(Hook):
    """Make SaveOnSignalHook exit after some iterations, as a signal would."""

    priority = 'VERY_HIGH'

    def __init__(self, after):
        self.left = after

    def after_train_iter(self, runner, *args, **kwargs):
        self.left -= 1
        if self.left == 0:
            (hook,) = [h for h in runner.hooks if isinstance(h, SaveOnSignalHook)]
            hook.received = signal.SIGTERM


@pytest.fixture
def attempt(tmp_path):
    """Resumes a run, stops it after some iterations; the steps it has validated."""

    def attempt(loop, after=0, batch_size=1):
        by_epoch = loop['by_epoch']
        data = dict(
            dataset=[dict(x=torch.ones(1))] * 4,
            batch_size=batch_size,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='default_collate'),
        )
        runner = Runner(
            Model(),
            str(tmp_path),
            train_dataloader=dict(data),
            val_dataloader=dict(data),
            train_cfg=dict(loop),
            val_cfg=dict(),
            val_evaluator=[Count()],
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
            resume=True,
            default_hooks=dict(
                logger=dict(type='LoggerHook', log_metric_by_epoch=by_epoch),
                checkpoint=dict(type='CheckpointHook', by_epoch=by_epoch),
            ),
            log_processor=dict(by_epoch=by_epoch),
            experiment_name=f'{tmp_path.name}_{time.monotonic_ns()}',
        )
        runner.register_hook(Stop(after))
        if after:
            with pytest.raises(SystemExit):
                runner.train()
        else:
            runner.train()
        lines = [
            json.loads(line)
            for path in tmp_path.glob('*/vis_data/scalars.json')
            for line in path.read_text().splitlines()
        ]
        for path in tmp_path.glob('*/vis_data/scalars.json'):
            path.unlink()  # the next attempt may have the same second's name
        return [line['step'] for line in lines if 'mIoU' in line]

    return attempt


def test_iterations(attempt):
    assert attempt(ITERATIONS, after=8) == [4]  # saved, and not validated
    assert attempt(ITERATIONS) == [8]


def test_nothing_is_added_to_a_run_with_iterations_left(attempt):
    assert attempt(ITERATIONS, after=6) == [4]
    assert attempt(ITERATIONS) == [8]


def test_epochs(attempt):
    assert attempt(EPOCHS) == [1, 2]
    assert attempt(EPOCHS) == [2]


def test_an_epoch_that_starts_again_is_not_over(attempt):
    """Its iterations are counted twice, and are more than the run should have."""
    assert attempt(EPOCHS, after=6) == [1]
    # Epochs have two batches now: iteration 7 of 4, within epoch 2.
    assert attempt(EPOCHS, after=1, batch_size=2) == []
    assert attempt(EPOCHS, batch_size=2) == [2]
