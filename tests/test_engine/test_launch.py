from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from mmkd.engine import launch
from mmkd.engine.model_hooks import let_models_bring_hooks
from mmkd.errors import UserError

CONFIGS = Path(__file__).parents[2] / 'configs'
(PLAIN,) = CONFIGS.glob('pspnet/pspnet_r18quarter-*.py')


def test_a_user_error_is_one_line():
    with pytest.raises(SystemExit, match=r'^error: mend it$'), launch.guarded():
        raise UserError('mend it')


def test_any_other_error_keeps_its_traceback():
    with pytest.raises(ValueError, match='a bug'), launch.guarded():
        raise ValueError('a bug')


@pytest.fixture
def cpu(monkeypatch):
    monkeypatch.setattr(launch, 'get_device', lambda: 'cpu')


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(launch, 'get_device', lambda: 'cuda')


class TestMachine:
    def config(self, tmp_path, launcher='none'):
        config = Config.fromfile(PLAIN)
        config.update(work_dir=str(tmp_path), launcher=launcher)
        for split in ('train', 'val', 'test'):  # there is no data here
            for part in ('dataloader', 'cfg', 'evaluator'):
                config.pop(f'{split}_{part}')
        for key in ('optim_wrapper', 'param_scheduler', 'auto_scale_lr'):
            config.pop(key)
        return config

    def test_config_is_left_alone(self, cpu, tmp_path):
        config = self.config(tmp_path)
        before = config.to_dict()
        runner = launch.build_runner(config)
        assert isinstance(runner, launch.CpuRunner)
        assert config.to_dict() == before

    @pytest.mark.parametrize('launcher', ['slurm', 'mpi'])
    def test_cluster_without_a_gpu(self, cpu, tmp_path, launcher):
        with pytest.raises(UserError, match=rf'^--launcher {launcher} needs a GPU'):
            launch.build_runner(self.config(tmp_path, launcher))

    def test_with_a_gpu_the_runner_is_mmengines(self, gpu, tmp_path, monkeypatch):
        monkeypatch.setattr(Runner, 'from_cfg', lambda config: config)
        config = self.config(tmp_path, 'slurm')
        assert launch.build_runner(config) is config

    def test_mixed_precision_without_a_gpu(self, cpu):
        wrapper = dict(type='AmpOptimWrapper', dtype='bfloat16')
        runner = SimpleNamespace(cfg=Config(dict(optim_wrapper=wrapper)))
        with pytest.raises(UserError, match=r'^optim_wrapper\.type: .* --amp trains'):
            launch.check_start(runner)

    def test_hooks_are_brought_once(self):
        let_models_bring_hooks()
        register = Runner.register_hooks
        let_models_bring_hooks()
        assert Runner.register_hooks is register
