"""Additions of mmkd.Runner to MMEngine's; its hooks have tests of their own."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.registry import RUNNERS
from mmengine.runner import Runner as MMEngineRunner
from mmseg.evaluation import IoUMetric

import mmkd
from mmkd.engine import runner as runner_module
from mmkd.engine.checkpoint_hook import SafeCheckpointHook
from mmkd.engine.runner import check_processes
from mmkd.errors import UserError
from mmkd.evaluation.class_iou_metric import ClassIoUMetric

CONFIGS = Path(__file__).parents[2] / 'configs'
(PLAIN,) = CONFIGS.glob('pspnet/pspnet_r18quarter-*.py')


@pytest.fixture
def config(tmp_path):
    config = Config.fromfile(PLAIN)
    config.update(work_dir=str(tmp_path), experiment_name=tmp_path.name)
    for split in ('train', 'val', 'test'):  # there is no data here
        for part in ('dataloader', 'cfg', 'evaluator'):
            config.pop(f'{split}_{part}')
    for key in ('optim_wrapper', 'param_scheduler', 'auto_scale_lr'):
        config.pop(key)
    return config


@pytest.fixture(params=['cpu', 'cuda'])
def device(request, monkeypatch):
    monkeypatch.setattr(runner_module, 'get_device', lambda: request.param)
    return request.param


def test_config_is_left_alone(config):
    config.runner_type = 'mmkd.Runner'
    before = config.to_dict()
    assert type(RUNNERS.build(config)) is mmkd.Runner
    assert config.to_dict() == before


@pytest.mark.parametrize('launcher', ['slurm', 'mpi'])
def test_cluster(config, device, launcher, monkeypatch):
    def start(*_):
        raise ConnectionError('starting')

    monkeypatch.setattr(MMEngineRunner, 'setup_env', start)
    config.launcher = launcher
    error, text = ConnectionError, 'starting'
    if device == 'cpu':
        error, text = UserError, rf'^--launcher {launcher} needs a GPU'
    with pytest.raises(error, match=text):
        mmkd.Runner.from_cfg(config)


def test_more_processes_than_gpus():
    check_processes(2, 2)
    with pytest.raises(UserError, match='8 processes, but this machine has 2 GPUs'):
        check_processes(8, 2)


@pytest.mark.parametrize('settings', [None, {}, dict(backend='nccl', timeout=None)])
def test_default_timeout(config, settings):
    config.env_cfg.dist_cfg = settings
    assert mmkd.Runner.from_cfg(config)


@pytest.mark.parametrize('timeout', ['5m', 0])
def test_timeout_that_is_no_number_of_seconds(config, timeout):
    config.env_cfg.dist_cfg.timeout = timeout
    with pytest.raises(UserError, match=r'^env_cfg\.dist_cfg\.timeout: '):
        mmkd.Runner.from_cfg(config)


def test_mixed_precision_without_a_gpu(config, monkeypatch):
    monkeypatch.setattr(runner_module, 'get_device', lambda: 'cpu')
    wrapper = dict(type='AmpOptimWrapper', optimizer=dict(type='SGD', lr=0.1))
    with pytest.raises(UserError, match=r'^optim_wrapper\.type: .*\(--amp\)$'):
        mmkd.Runner.from_cfg(config).build_optim_wrapper(wrapper)


def names(runner):
    return [type(hook).__name__ for hook in runner.hooks]


def test_own_hooks_are_registered_once(config):
    config.custom_hooks = [dict(type='mmkd.FiniteHook', action='skip')]
    runner = mmkd.Runner.from_cfg(config)
    for kind in mmkd.Runner.own_hooks:
        assert names(runner).count(kind.__name__) == 1
    (finite,) = [hook for hook in runner.hooks if type(hook).__name__ == 'FiniteHook']
    assert finite.action == 'skip'


class MyHook(CheckpointHook):
    pass


@pytest.mark.parametrize(
    ('given', 'expected'),
    [
        (dict(type='CheckpointHook', interval=7), SafeCheckpointHook),
        (dict(type='mmengine.CheckpointHook', interval=7), SafeCheckpointHook),
        (dict(type=CheckpointHook, interval=7), SafeCheckpointHook),
        (dict(type=MyHook, interval=7), MyHook),
        (None, type(None)),
    ],
)
def test_checkpoint_hook(config, given, expected):
    config.default_hooks['checkpoint'] = given
    runner = mmkd.Runner.from_cfg(config)
    found = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook)]
    assert [type(hook) for hook in found or [None]] == [expected]
    assert all(hook.interval == 7 for hook in found)


def test_checkpoint_hook_of_a_config_without_one(config):
    config.default_hooks.pop('checkpoint')
    assert 'SafeCheckpointHook' in names(mmkd.Runner.from_cfg(config))


@pytest.mark.parametrize('several', [False, True])
@pytest.mark.parametrize('kind', ['IoUMetric', 'mmseg.IoUMetric', IoUMetric])
def test_iou_of_each_class(config, kind, several):
    runner = mmkd.Runner.from_cfg(config)
    given = dict(type=kind, iou_metrics=['mIoU'])
    evaluator = runner.build_evaluator([given] if several else given)
    assert [type(metric) for metric in evaluator.metrics] == [ClassIoUMetric]
