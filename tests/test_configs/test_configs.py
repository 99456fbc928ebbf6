"""Every config: what it holds, and that its parts fit each other."""

import ast
import re
from importlib import import_module

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmkd.distillation.teacher_config import split_teachers
from mmkd.losses.schedule import Progress, WeightSchedule
from mmkd.registry import qualified

from .files import CONFIGS, DISTILLED, METHODS, NETWORKS, WHOLE, bases_of, name_of

OWN_KEYS = {'runner_type', 'teacher', 'distill_losses'}
OPTIONAL_KEYS = {'unlabeled_dataloader'}
LENGTH = dict(max_iterations=80000, max_epochs=100)
MILLIONS = {
    'pspnet/pspnet_r101-d8_4xb2-80k_cityscapes-512x1024': 67.97,
    'pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024': 12.79,
    'pspnet/pspnet_r18half-d8_1xb8-1000_camvid-240x240': 3.20,
    'pspnet/pspnet_r18quarter-d8_1xb8-400_camvid-240x240': 0.80,
    'imagenet/resnet18_8xb64-100e_in1k': 11.69,
    'imagenet/mobilenet_v1_8xb64-100e_in1k': 4.23,
}


def logits_of(folder):
    """Logits of two networks, and labels: of maps, or of two views of two images."""
    if folder == 'methods':
        squares = torch.arange(8).view(2, 2, 2)  # with edges and inner pixels
        target = squares.repeat_interleave(32, 1).repeat_interleave(32, 2)
        shape = (2, 19, 8, 8)
    else:
        shape = (4, dict(cifar100=100, imagenet=1000)[folder])
        target = torch.tensor([7, 3, 7, 3])
    student, teacher = torch.randn(2, *shape)
    return student.requires_grad_(), teacher, target


@pytest.mark.parametrize('path', WHOLE, ids=name_of)
def test_config_is_found_again_in_its_dump(path):
    config = Config.fromfile(path)
    assert 'custom_imports' not in config  # mmkd's names resolve by themselves
    assert Config.fromstring(config.pretty_text, '.py').to_dict() == config.to_dict()


@pytest.mark.parametrize('path', NETWORKS, ids=name_of)
def test_network_fits_its_data_and_schedule(path):
    config = Config.fromfile(path)
    datasets = import_module(f'{config.default_scope}.registry').DATASETS
    dataset = datasets.get(config.train_dataloader.dataset.type)
    with DefaultScope.overwrite_default_scope(config.default_scope):
        model = MODELS.build(config.model)
    assert dataset is not None
    size = sum(parameter.numel() for parameter in model.parameters())
    assert round(size / 1e6, 2) == MILLIONS.get(name_of(path), round(size / 1e6, 2))
    assert config.test_dataloader == config.val_dataloader
    if config.default_scope == 'mmpretrain':
        classes = config.data_preprocessor.num_classes
        assert config.model.head.num_classes == classes
        scheduler = config.param_scheduler
        end = scheduler.get('T_max', scheduler.get('milestones', [0])[-1])
        assert end <= config.train_cfg.max_epochs
        return
    if path.parent.name == 'any_network':
        assert model.eval()(torch.zeros(1, 3, *config.crop_size)).shape[1] == 11
    heads = [model.decode_head, getattr(model, 'auxiliary_head', model.decode_head)]
    for head in heads:
        metainfo = config.train_dataloader.dataset.get('metainfo', dataset.METAINFO)
        assert head.num_classes == len(metainfo['classes'])
    assert tuple(config.model.data_preprocessor.size) == config.crop_size
    for step in config.train_dataloader.dataset.pipeline:
        assert tuple(step.get('crop_size', config.crop_size)) == config.crop_size
    assert config.param_scheduler[-1].end == config.train_cfg.max_iters


@pytest.mark.parametrize('path', DISTILLED, ids=name_of)
def test_distillation_is_the_students_config_and_little_more(path):
    """Equal except for the weight of the cross entropy, which some methods set."""
    _, *rest = ast.parse(path.read_text()).body
    assert sum(node.end_lineno - node.lineno + 1 for node in rest) <= 5

    student, *_ = map(Config.fromfile, bases_of(path))
    config = Config.fromfile(path)
    assert set(config) >= OWN_KEYS
    own = OWN_KEYS | OPTIONAL_KEYS
    found = {key: value for key, value in config.items() if key not in own}
    expected = student.to_dict()
    if config.default_scope == 'mmpretrain':
        expected['model']['head']['loss'].update(config.model.head.loss)
    if 'demo' in path.parts:
        expected['val_evaluator'] = config.val_evaluator
    assert found == expected


@pytest.mark.parametrize('path', DISTILLED, ids=name_of)
def test_teacher_is_of_the_same_data(path):
    config = Config.fromfile(path)
    for keys in split_teachers(config.teacher).values():
        teacher = Config.fromfile(keys.config)
        ours, theirs = (c.train_dataloader.dataset for c in (config, teacher))
        assert (ours.type, ours.data_root) == (theirs.type, theirs.data_root)
        folder, _, last = keys.checkpoint.rpartition('/')
        if folder.startswith('work_dirs/'):  # what training that config will write
            assert folder == f'work_dirs/{teacher.filename.rpartition("/")[2][:-3]}'
            assert last == f'iter_{teacher.train_cfg.max_iters}.pth'


@pytest.mark.parametrize('path', METHODS, ids=name_of)
def test_method_holds_losses_with_their_source(path):
    names = [node.targets[0].id for node in ast.parse(path.read_text()).body]
    assert names == ['runner_type', 'distill_losses']
    comment = path.read_text().partition('runner_type')[0]
    assert re.search('paper|published|authors|code|as dkd.py', comment)

    folder = path.parent.name
    student, teacher, target = logits_of(folder)
    method = Config.fromfile(path)
    assert method.runner_type == 'mmkd.DistillRunner'
    for name, loss in method.distill_losses.items():
        assert 'loss' in name  # MMEngine sums nothing else
        schedule = WeightSchedule(**loss.pop('schedule', {}))
        schedule.check(Progress(**LENGTH))
        if loss.get('standardize') and not loss.get('scale_compensated'):
            assert isinstance(schedule.warmup, float)
        for tap in ('student', 'teacher'):
            loss.pop(tap, None)
        module = MODELS.build(qualified(loss))
        if module.adapter is not None:  # logits are features like any others
            module.build_adapter(student, teacher)
        if getattr(module, 'num_classes', 0) is None:
            module.num_classes = 19
        module.progress = Progress(iteration=100, **LENGTH)
        value = module(student, teacher, target)
        value.backward()
        assert value > 0
        assert torch.isfinite(student.grad).all()
        assert student.grad.any()


@pytest.mark.parametrize('data', ['80k_cityscapes-512x1024', 'cifar100', 'imagenet'])
def test_every_method_has_its_config(data):
    """One for each file of ``configs/methods`` and its folders."""
    folder = data if (CONFIGS / 'methods' / data).exists() else 'methods'
    methods = [path for path in METHODS if path.parent.name == folder]
    used = [bases_of(path)[1] for path in DISTILLED if path.stem.endswith(data)]
    assert sorted(used) == methods
