import ast
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.registry import DATASETS, MODELS

CONFIGS = Path(__file__).parents[2] / 'configs'
CLASSIFICATION = ('cifar100', 'imagenet', 'in1k', 'omniglot')  # have their own tests
ALL = sorted(
    path.relative_to(CONFIGS).as_posix()
    for path in CONFIGS.rglob('*.py')
    if '_base_' not in path.parts
    and not path.stem.endswith(CLASSIFICATION)
    and path.parent.name not in CLASSIFICATION
)


def bases(path):
    """The bases a config names, as absolute paths."""
    for node in ast.parse(path.read_text(encoding='utf-8')).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == '_base_':
            value = ast.literal_eval(node.value)
            value = [value] if isinstance(value, str) else value
            return [(path.parent / base).resolve() for base in value]
    return []


def lone_student(path):
    """The base of a distillation config that is a whole recipe."""
    (student,) = (base for base in bases(path) if '_base_' not in base.parts)
    return student


def recipe(cfg):
    found = {key: value for key, value in cfg.items() if key != 'model'}
    evaluators = found['val_evaluator']
    if isinstance(evaluators, list):  # looking at the teacher, too, trains no other way
        (found['val_evaluator'],) = (
            each for each in evaluators if each.type != 'mmkd.FidelityMetric'
        )
    return found


def network_of(cfg):
    return cfg.model.student if cfg.model.type == 'mmkd.Distiller' else cfg.model


DISTILLED = [name for name in ALL if '/teachers/' in (CONFIGS / name).read_text()]


def test_there_are_configs():
    assert len(ALL) >= 27
    assert len(DISTILLED) >= 20


@pytest.mark.parametrize('name', ALL)
def test_recipe_is_coherent(name):
    cfg = Config.fromfile(CONFIGS / name)
    assert cfg.default_scope == 'mmseg'
    assert 'mmkd' in cfg.custom_imports.imports

    network = network_of(cfg)
    assert tuple(network.data_preprocessor.size) == tuple(cfg.crop_size)
    for step in cfg.train_dataloader.dataset.pipeline:
        assert tuple(step.get('crop_size', cfg.crop_size)) == tuple(cfg.crop_size)

    with DefaultScope.overwrite_default_scope('mmseg'):
        classes = DATASETS.get(cfg.train_dataloader.dataset.type).METAINFO['classes']
    for head in ('decode_head', 'auxiliary_head'):
        assert network[head].num_classes == len(classes)

    assert cfg.param_scheduler[-1].end == cfg.train_cfg.max_iters
    assert cfg.test_dataloader == cfg.val_dataloader


@pytest.mark.parametrize('name', DISTILLED)
def test_distilled_is_the_lone_students_recipe(name):
    path = CONFIGS / name
    assert len(path.read_text(encoding='utf-8').splitlines()) < 15

    cfg, student = Config.fromfile(path), Config.fromfile(lone_student(path))
    assert cfg.model.type == 'mmkd.Distiller'
    assert cfg.model.student == student.model
    extra = {key: cfg[key] for key in ('teacher', 'distill_losses')}
    assert recipe(cfg) == {**recipe(student), **extra}


@pytest.mark.parametrize('name', DISTILLED)
def test_distilled_has_a_teacher_of_the_same_data(name):
    cfg = Config.fromfile(CONFIGS / name)
    teacher = Config.fromfile(cfg.model.teacher.config)
    assert teacher.train_dataloader.dataset.type == cfg.train_dataloader.dataset.type
    checkpoint = cfg.model.teacher.checkpoint
    if checkpoint.startswith('work_dirs/'):
        # What training the teacher's config will write.
        work_dir = Path(cfg.model.teacher.config).stem
        last = f'iter_{teacher.train_cfg.max_iters}.pth'
        assert checkpoint == f'work_dirs/{work_dir}/{last}'


@pytest.mark.parametrize('name', DISTILLED)
def test_distill_losses(name):
    cfg = Config.fromfile(CONFIGS / name)
    assert cfg.model.distill_losses
    for key, loss in cfg.model.distill_losses.items():
        assert 'loss' in key  # MMEngine sums nothing else
        warmup = loss.get('schedule', {}).get('warmup', 0)
        assert warmup < cfg.train_cfg.max_iters
        level = loss.get('effective_tau') or not loss.get('standardize')
        assert level or warmup > 0


def test_dumped_config_parses_to_the_same():
    cfg = Config.fromfile(CONFIGS / DISTILLED[0])
    again = Config.fromstring(cfg.pretty_text, '.py')
    assert again.to_dict() == cfg.to_dict()


@pytest.mark.parametrize(
    ('name', 'millions'),
    [
        ('pspnet_r101-d8_4xb2-80k_cityscapes-512x1024.py', 67.97),
        ('pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py', 12.79),
        ('pspnet_r18half-d8_1xb8-1000_camvid-240x240.py', 3.20),
        ('pspnet_r18quarter-d8_1xb8-400_camvid-240x240.py', 0.80),
    ],
)
def test_size_of_the_network(name, millions):
    cfg = Config.fromfile(CONFIGS / 'pspnet' / name)
    with DefaultScope.overwrite_default_scope('mmseg'):
        network = MODELS.build(cfg.model)
    size = sum(parameter.numel() for parameter in network.parameters())
    assert round(size / 1e6, 2) == millions
