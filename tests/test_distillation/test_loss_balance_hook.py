"""Distillation losses far from the task's, in a training."""

import pytest

from tests.conftest import build_runner
from tests.test_distillation.test_distill_hook import Images


@pytest.fixture
def warnings_of(distiller_config, tmp_path, monkeypatch):
    def warnings_of(iterations, **loss):
        loss['type'] = 'KDLoss'
        distiller_config['distill_losses'] = dict(loss_kd=loss)
        runner = build_runner(
            distiller_config,
            work_dir=str(tmp_path),
            train_dataloader=dict(
                dataset=Images(),
                batch_size=2,
                sampler=dict(type='InfiniteSampler'),
                collate_fn=dict(type='pseudo_collate'),
            ),
            train_cfg=dict(by_epoch=False, max_iters=iterations),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.0)),
            experiment_name=tmp_path.name,
        )
        lines = []
        monkeypatch.setattr(runner.logger, 'warning', lines.append)
        runner.train()
        return [line for line in lines if line.startswith('distill_losses.loss_kd: ')]

    return warnings_of


@pytest.mark.parametrize(
    ('weight', 'says'), [(1e-5, 'below 1/20 for 50'), (1e5, 'above 20 for 50')]
)
def test_warning_after_the_warmup(warnings_of, weight, says):
    """Iteration 10 is the first with the full weight, 59 the 50th."""
    (line,) = warnings_of(62, loss_weight=weight, schedule=dict(warmup=10))
    assert f'at iteration 59, and {says}' in line


def test_too_short_after_the_warmup(warnings_of):
    assert not warnings_of(58, loss_weight=1e-5, schedule=dict(warmup=10))
