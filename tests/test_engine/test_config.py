from argparse import Namespace
from pathlib import Path

import pytest
from mmengine.config import Config

from mmkd.engine import run_config
from mmkd.errors import UserError

CONFIGS = Path(__file__).parents[2] / 'configs'
(PLAIN,) = CONFIGS.glob('pspnet/pspnet_r18quarter-*.py')


def arguments(config=PLAIN, **changes):
    defaults = dict(config=str(config), cfg_options=None, launcher='none')
    return Namespace(**{**defaults, 'work_dir': None, **changes})


class TestConfig:
    def test_work_dir(self, tmp_path):
        assert run_config.load_config(arguments()).work_dir == f'work_dirs/{PLAIN.stem}'
        mine = tmp_path / 'mine.py'
        mine.write_text(f"_base_ = '{PLAIN}'\nwork_dir = 'own'")
        assert run_config.load_config(arguments(mine)).work_dir == 'own'
        assert (
            run_config.load_config(arguments(mine, work_dir='said')).work_dir == 'said'
        )

    def test_overrides(self):
        options = {'train_cfg.max_iters': 3, 'model.backbone.depth': 34}
        config = run_config.load_config(
            arguments(cfg_options=options, launcher='pytorch')
        )
        assert config.train_cfg.max_iters == 3
        assert config.model.backbone.depth == 34
        assert config.launcher == 'pytorch'

    def test_reason_is_one_line(self, tmp_path):
        (tmp_path / 'bad.py').write_text('model = dict(type="A")\n1 / 0\n')
        with pytest.raises(UserError, match='ZeroDivisionError: division') as raised:
            run_config.load_config(arguments(tmp_path / 'bad.py'))
        assert '\n' not in str(raised.value)


class TestData:
    def check(self, dataset):
        run_config.check_data(
            Config(dict(train_dataloader=dict(dataset=dataset))), 'train'
        )

    def test_present(self, tmp_path):
        (tmp_path / 'train').mkdir()
        prefix = dict(img_path='train', seg_map_path=None)
        self.check(dict(data_root=str(tmp_path), data_prefix=prefix))
        self.check(dict(type='NoFiles'))

    def test_splits_that_are_not_there(self):
        run_config.check_data(Config(dict(val_dataloader=None)), 'train', 'val')

    def test_remote(self):
        self.check(dict(data_root='s3://bucket', data_prefix=dict(img_path='train')))
        self.check(dict(data_prefix=dict(img_path='s3://bucket/train')))

    @pytest.mark.parametrize(
        ('wrap', 'key'),
        [
            (lambda inner: inner, ''),
            (lambda inner: dict(type='RepeatDataset', dataset=inner), '.dataset'),
            (lambda inner: dict(type='ConcatDataset', datasets=[inner]), '.datasets.0'),
        ],
    )
    def test_missing(self, tmp_path, wrap, key):
        key = f'train_dataloader.dataset{key}'
        with pytest.raises(UserError, match=rf"^{key}\.data_root: 'gone' does not"):
            self.check(wrap(dict(data_root='gone')))
        inner = dict(data_root=str(tmp_path), data_prefix=dict(img_path='train'))
        with pytest.raises(UserError, match=rf'^{key}\.data_prefix\.img_path: '):
            self.check(wrap(inner))

    def test_cifar(self, tmp_path):
        """Its folder holds the published files, or may be downloaded into."""
        dataset = dict(type='CIFAR100', data_root=str(tmp_path), download=False)
        (tmp_path / 'cifar-100-python').mkdir()
        (tmp_path / 'cifar-100-python/train').touch()
        key = r'train_dataloader\.dataset\.data_root'
        with pytest.raises(UserError, match=rf'^{key}: .* no cifar-100-python/test;'):
            self.check(dataset)
        self.check({**dataset, 'download': True})
        (tmp_path / 'cifar-100-python/test').touch()
        self.check(dataset)


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(run_config, 'get_device', lambda: 'cuda')


class TestAmp:
    def test_without_a_gpu(self, monkeypatch):
        monkeypatch.setattr(run_config, 'get_device', lambda: 'cpu')
        given = dict(type='AmpOptimWrapper', loss_scale='dynamic', optimizer=dict())
        teacher = dict(checkpoint='t.pth')
        config = Config(dict(optim_wrapper=given, model=dict(teacher=teacher)))
        run_config.enable_amp(config)
        expected = dict(type='mmkd.CpuAmpOptimWrapper', optimizer=dict())
        assert config.optim_wrapper == expected
        assert config.model.teacher == teacher

    @pytest.mark.parametrize('given', [dict(), dict(type='OptimWrapper')])
    def test_turned_on(self, gpu, given):
        config = Config(dict(optim_wrapper=given))
        run_config.enable_amp(config)
        expected = dict(type='AmpOptimWrapper', loss_scale='dynamic')
        assert config.optim_wrapper == expected

    def test_the_teacher_too(self, gpu):
        """Autocast does not reach it: it has a precision of its own."""
        for given, expected in ((dict(), 'fp16'), (dict(precision='fp32'), 'fp32')):
            teacher = dict(checkpoint='t.pth', **given)
            config = Config(dict(optim_wrapper=dict(), model=dict(teacher=teacher)))
            run_config.enable_amp(config)
            assert config.model.teacher.precision == expected

    def test_already_on(self, gpu):
        given = dict(type='AmpOptimWrapper', loss_scale=512.0)
        config = Config(dict(optim_wrapper=given))
        run_config.enable_amp(config)
        assert config.optim_wrapper == given

    def test_other_wrapper(self, gpu):
        config = Config(dict(optim_wrapper=dict(type='ApexOptimWrapper')))
        with pytest.raises(UserError, match=r'^optim_wrapper\.type: '):
            run_config.enable_amp(config)


class TestTesting:
    def test_visualization(self):
        config = run_config.load_config(arguments())
        run_config.enable_visualization(config, False, 'painted', 1.0)
        hook = config.default_hooks.visualization
        assert (hook.draw, hook.show, hook.wait_time) == (True, False, 1.0)
        assert config.visualizer.save_dir == 'painted'

    def test_visualization_without_a_hook(self):
        with pytest.raises(UserError, match=r'^default_hooks\.visualization: '):
            run_config.enable_visualization(Config(dict(model={})), True, None, 1.0)

    def test_tta(self):
        config = run_config.load_config(arguments())
        model = config.model.to_dict()
        run_config.enable_tta(config)
        assert config.model.type == 'SegTTAModel'
        assert config.model.module == model
        assert config.test_dataloader.dataset.pipeline == config.tta_pipeline

    @pytest.mark.parametrize('key', ['tta_model', 'tta_pipeline'])
    def test_tta_without_a_description(self, key):
        config = run_config.load_config(arguments())
        config.pop(key)
        with pytest.raises(UserError, match=f'^{key}: '):
            run_config.enable_tta(config)
