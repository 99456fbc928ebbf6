from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.fileio.handlers import file_handlers
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope

from mmkd.cli.arguments import run_config
from mmkd.cli.print_config import main as print_config
from mmkd.cli.train import parse_args
from mmkd.datasets.check_folders import check_folders
from mmkd.distillation.teacher_config import inline_teacher
from mmkd.engine import config as config_module
from mmkd.engine.config import (
    enable_amp,
    enable_tta,
    enable_visualization,
    read_config,
)
from mmkd.errors import UserError
from mmkd.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs'
(PLAIN,) = CONFIGS.glob('pspnet/pspnet_r18quarter-*.py')

KEY = 'train_dataloader.dataset'


def config_of(*arguments):
    return run_config(parse_args([str(argument) for argument in arguments]))


class TestConfig:
    def test_work_dir(self, tmp_path):
        assert config_of(PLAIN).work_dir == f'work_dirs/{PLAIN.stem}'
        mine = tmp_path / 'mine.py'
        mine.write_text(f"_base_ = '{PLAIN}'\nwork_dir = 'own'")
        assert config_of(mine).work_dir == 'own'
        assert config_of(mine, '--method', 'kd').work_dir == 'own'
        # Not that of the baseline.
        distilled = config_of(PLAIN, '--method', 'cifar100/kd').work_dir
        assert distilled == f'work_dirs/{PLAIN.stem}_kd'
        assert config_of(mine, '--work-dir', 'given').work_dir == 'given'

    def test_overrides(self):
        options = ['train_cfg.max_iters=3', 'model.backbone.depth=34']
        config = config_of(PLAIN, '--launcher', 'pytorch', '--cfg-options', *options)
        assert config.train_cfg.max_iters == 3
        assert config.model.backbone.depth == 34
        assert config.launcher == 'pytorch'

    def test_reason_is_one_line(self, tmp_path):
        (tmp_path / 'bad.py').write_text('model = dict(type="A")\n1 / 0\n')
        with pytest.raises(UserError, match='ZeroDivisionError: division') as raised:
            read_config(tmp_path / 'bad.py')
        assert '\n' not in str(raised.value)

    def test_bases_of_mmkd(self, tmp_path):
        """Resolved while a config is read; afterwards MMEngine is as it was."""
        original = Config.__dict__['_get_cfg_path']
        mine = tmp_path / 'mine.py'
        mine.write_text(f"_base_ = ['{PLAIN}', 'mmkd::methods/kd.py']")
        assert read_config(mine).runner_type == 'mmkd.DistillRunner'
        mine.write_text("_base_ = 'mmkd::methods/gone.py'")
        with pytest.raises(UserError, match=r"mmkd has no config 'methods/gone.py'"):
            read_config(mine)
        assert Config._get_cfg_path is original.__func__

    @pytest.mark.parametrize('scope', ['mmseg', 'mmpretrain', None])
    @pytest.mark.parametrize(
        'name',
        [
            'mmseg::pidnet/pidnet-s_2xb6-120k_1024x1024-cityscapes.py',
            'mmseg::_base_/models/segformer_mit-b0.py',
            'mmpretrain::resnet/resnet18_8xb32_in1k.py',
            'mmpretrain::_base_/models/mobilenet_v3/mobilenet_v3_small_imagenet.py',
        ],
    )
    def test_bases_of_other_packages(self, tmp_path, name, scope):
        """Their networks are built in any default scope."""
        mine = tmp_path / 'mine.py'
        mine.write_text(f"_base_ = '{name}'")
        with DefaultScope.overwrite_default_scope(scope):
            network = MODELS.build(read_config(mine).model)
        assert type(network).__module__.startswith(name.partition('::')[0])

    def test_a_config_of_a_package_itself(self):
        name = 'mmseg::ddrnet/ddrnet_23-slim_in1k-pre_2xb6-120k_cityscapes-1024x1024'
        assert read_config(name).model.backbone.type == 'DDRNet'
        assert config_of(f'{name}.py').work_dir == f'work_dirs/{Path(name).name}'

    @pytest.mark.parametrize(
        ('name', 'says'),
        [
            (
                'mmseg::pidnet/pidnet-s_2xb6-120k_1024x1024-cityscape.py',
                'did you mean pidnet/pidnet-s_2xb6-120k_1024x1024-cityscapes.py',
            ),
            (
                'mmseg::pidnet-s_2xb6-120k_1024x1024-cityscapes',
                'did you mean .*pidnet/pidnet-s_2xb6-120k_1024x1024-cityscapes.py',
            ),
            ('mmpretrain::x/y.py', r"has no config 'x/y.py'; see '.*configs'$"),
            ('mmgone::x/y.py', "the package 'mmgone' is not installed"),
            ('../x::y.py', r"the package '../x' is not installed"),
        ],
    )
    @pytest.mark.parametrize('way', ['itself', 'base', 'teacher'])
    def test_unknown_config_of_a_package(self, tmp_path, name, says, way):
        path = tmp_path / 'mine.py'
        path.write_text(f"_base_ = '{name}'")
        teacher = dict(config=name, checkpoint='a.pth')
        key, read, argument = dict(
            itself=('config', read_config, name),
            base=('config', read_config, path),
            teacher=('teacher.config', inline_teacher, teacher),
        )[way]
        with pytest.raises(UserError, match=says) as raised:
            read(argument)
        assert '\n' not in str(raised.value)
        assert str(raised.value).startswith(f'{key}: ')

    def test_two_bases_with_the_same_keys(self, tmp_path):
        for name in ('a', 'b'):
            text = "model = dict(type='A')\ntrain_dataloader = dict(num_workers=1)\n"
            (tmp_path / f'{name}.py').write_text(text)
        (tmp_path / 'c.py').write_text("_base_ = ['a.py', 'b.py']")
        error = 'two bases that both define model, train_dataloader: .*; remove one'
        with pytest.raises(UserError, match=error):
            read_config(tmp_path / 'c.py')


class TestYaml:
    """A YAML config is data: its tags call nothing."""

    TEXT = 'model: {{type: A}}\nsizes: !!python/tuple [1, 2]\nx: {}\n'

    @pytest.mark.parametrize(
        'tag',
        [
            '!!python/object/apply:os.mkdir [{marker}]',
            '!!python/object/new:os.mkdir [{marker}]',
            '!!python/name:os.mkdir',
            '!!python/module:antigravity',
        ],
    )
    @pytest.mark.parametrize('suffix', ['yaml', 'yml'])
    @pytest.mark.parametrize('way', ['itself', 'base', 'base of Python', 'teacher'])
    def test_tags(self, tmp_path, tag, suffix, way):
        marker, path = tmp_path / 'marker', tmp_path / f'config.{suffix}'
        path.write_text(self.TEXT.format(tag.format(marker=marker)))
        read = path
        if way == 'base':
            read = tmp_path / 'child.yaml'
            read.write_text(f'_base_: {path}\n')
        if way == 'base of Python':
            read = tmp_path / 'child.py'
            read.write_text(f"_base_ = '{path}'\n")
        handlers = dict(file_handlers)
        teacher = dict(config=str(path), checkpoint='a.pth')
        with pytest.raises(UserError, match=r'for the tag .*python/') as raised:
            inline_teacher(teacher) if way == 'teacher' else read_config(read)
        assert '\n' not in str(raised.value)
        assert not marker.exists()
        assert file_handlers == handlers  # MMEngine is as it was

    def test_data(self, tmp_path):
        path = tmp_path / 'config.yaml'
        path.write_text(self.TEXT.format("'{{ fileBasename }}'"))
        config = read_config(path)
        assert config.sizes == (1, 2)  # as MMEngine dumps a tuple
        assert config.x == 'config.yaml'


@pytest.mark.parametrize(
    ('value', 'key'),
    [
        ('dict(a=[lambda x: x])', 'value.a.0'),
        ('object()', 'value'),
        ("{'a b': 1, \"it's\": 2}", "value.it's"),
    ],
)
def test_values_that_cannot_be_recorded(tmp_path, capsys, value, key):
    """Otherwise printing and training end in a traceback of MMEngine's formatter."""
    (tmp_path / 'a.py').write_text(f"model = dict(type='A')\nvalue = {value}\n")
    with pytest.raises(SystemExit) as raised:
        print_config([str(tmp_path / 'a.py')])
    assert raised.value.code.startswith(f"error: {key}: '{tmp_path}/a.py' has a ")
    assert '\n' not in raised.value.code


@pytest.mark.parametrize('option', ['text', 'a=[1,2'])
def test_options_that_are_no_pairs(capsys, option):
    with pytest.raises(SystemExit):
        parse_args(['a.py', '--cfg-options', 'b=1', option])
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"error: --cfg-options: '{option}' is not key=value" in error


class TestData:
    def test_present(self, tmp_path):
        (tmp_path / 'train').mkdir()
        prefix = dict(img_path='train', seg_map_path=None)
        check_folders(dict(data_root=str(tmp_path), data_prefix=prefix), KEY)
        check_folders(dict(type='NoFiles'), KEY)

    def test_remote(self):
        prefix = dict(img_path='train')
        check_folders(dict(data_root='s3://bucket', data_prefix=prefix), KEY)
        check_folders(dict(data_prefix=dict(img_path='s3://bucket/train')), KEY)

    @pytest.mark.parametrize(
        ('wrap', 'key'),
        [
            (lambda inner: inner, ''),
            (lambda inner: dict(type='RepeatDataset', dataset=inner), '.dataset'),
            (lambda inner: dict(type='ConcatDataset', datasets=[inner]), '.datasets.0'),
        ],
    )
    def test_missing(self, tmp_path, wrap, key):
        key = KEY + key
        with pytest.raises(UserError, match=rf"^{key}\.data_root: 'gone' does not"):
            check_folders(wrap(dict(data_root='gone')), KEY)
        inner = dict(data_root=str(tmp_path), data_prefix=dict(img_path='train'))
        with pytest.raises(UserError, match=rf'^{key}\.data_prefix\.img_path: '):
            check_folders(wrap(inner), KEY)

    def test_cifar(self, tmp_path):
        """PyTorch's cache contains published files, or allows downloads."""
        dataset = dict(type='CIFAR100', data_root=str(tmp_path), download=False)
        (tmp_path / 'cifar-100-python').mkdir()
        (tmp_path / 'cifar-100-python/train').touch()
        error = rf'^{KEY}\.data_root: .* no cifar-100-python/test;'
        with pytest.raises(UserError, match=error):
            check_folders(dataset, KEY)
        check_folders({**dataset, 'download': True}, KEY)
        (tmp_path / 'cifar-100-python/test').touch()
        check_folders(dataset, KEY)


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(config_module, 'get_device', lambda: 'cuda')


class TestAmp:
    def test_without_a_gpu(self, monkeypatch):
        monkeypatch.setattr(config_module, 'get_device', lambda: 'cpu')
        given = dict(type='AmpOptimWrapper', loss_scale='dynamic', optimizer=dict())
        config = Config(dict(optim_wrapper=given))
        enable_amp(config)
        expected = dict(type='mmkd.CpuAmpOptimWrapper', optimizer=dict())
        assert config.optim_wrapper == expected

    @pytest.mark.parametrize(
        'given', [dict(), dict(type='OptimWrapper'), dict(type=OptimWrapper)]
    )
    def test_turned_on(self, gpu, given):
        config = Config(dict(optim_wrapper=given))
        enable_amp(config)
        expected = dict(type='AmpOptimWrapper', loss_scale='dynamic')
        assert config.optim_wrapper == expected

    def test_already_on(self, gpu):
        given = dict(type='AmpOptimWrapper', loss_scale=512.0)
        config = Config(dict(optim_wrapper=given))
        enable_amp(config)
        assert config.optim_wrapper == given

    def test_other_wrapper(self, gpu):
        config = Config(dict(optim_wrapper=dict(type='ApexOptimWrapper')))
        with pytest.raises(UserError, match=r'^optim_wrapper\.type: '):
            enable_amp(config)


class TestOptions:
    @pytest.mark.parametrize(
        ('key', 'like'),
        [
            ('train_dataloder.batch_size', 'train_dataloader'),
            ('default_hook.checkpoint.interval', 'default_hooks'),
            ('max_iter', 'train_cfg.max_iters'),
        ],
    )
    def test_a_misspelled_key(self, key, like):
        message = rf'^--cfg-options {key}: .* did you mean {like}\?$'
        with pytest.raises(UserError, match=message):
            read_config(PLAIN, {key: 3})

    @pytest.mark.parametrize(
        'key', ['load_from', 'speed', 'skip_corrupt', 'teacher.checkpoint', 'work_dir']
    )
    def test_a_new_key(self, key):
        assert read_config(PLAIN, {key: 'auto'}).get(key.partition('.')[0])


class TestTesting:
    def test_visualization(self):
        config = read_config(PLAIN)
        enable_visualization(config, False, 'painted', 1.0)
        hook = config.default_hooks.visualization
        assert (hook.draw, hook.show, hook.wait_time) == (True, False, 1.0)
        assert config.visualizer.save_dir == 'painted'

    def test_visualization_without_a_hook(self):
        with pytest.raises(UserError, match=r'^default_hooks\.visualization: '):
            enable_visualization(Config(dict(model={})), True, None, 1.0)

    def test_tta(self):
        config = read_config(PLAIN)
        model = config.model.to_dict()
        enable_tta(config)
        assert config.model.type == 'SegTTAModel'
        assert config.model.module == model
        assert config.test_dataloader.dataset.pipeline == config.tta_pipeline

    @pytest.mark.parametrize('key', ['tta_model', 'tta_pipeline'])
    def test_tta_without_a_description(self, key):
        config = read_config(PLAIN)
        config.pop(key)
        with pytest.raises(UserError, match=f'^{key}: '):
            enable_tta(config)
