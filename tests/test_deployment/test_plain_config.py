import copy

import pytest
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS

from mmkd.deployment.plain_config import plain_config
from mmkd.engine.config import read_config
from tests.test_tools.conftest import CONFIGS

(CITYSCAPES,) = CONFIGS.glob('bdd_ls/*_cityscapes-512x1024.py')
(CAMVID,) = CONFIGS.glob('unlabeled/kd-unlabeled_*_camvid-quarter-240x240.py')
(BASELINE,) = CONFIGS.glob('pspnet/pspnet_r18-d8_*-80k_cityscapes-512x1024.py')
(CLASSIFIER,) = CONFIGS.glob('cifar100/resnet8x4_*.py')


@pytest.mark.parametrize('path', [CITYSCAPES, CAMVID], ids=['cityscapes', 'camvid'])
def test_nothing_names_mmkd(path, tmp_path):
    config = read_config(path)
    before = copy.deepcopy(config.to_dict())
    plain_config(config).dump(tmp_path / 'student.py')
    assert config.to_dict() == before
    assert 'mmkd' not in (tmp_path / 'student.py').read_text()

    plain = read_config(tmp_path / 'student.py')
    assert plain.model == config.model
    assert 'unlabeled_dataloader' not in plain
    assert plain.test_pipeline == config.test_pipeline
    plain.model.pretrained = None
    with DefaultScope.overwrite_default_scope('mmseg'):
        MODELS.build(plain.model)


def test_baseline_keeps_its_config():
    plain = plain_config(read_config(BASELINE))
    expected = read_config(BASELINE)
    for key in ('load_from', 'resume'):
        expected.pop(key)
    assert plain.to_dict() == expected.to_dict()
    assert plain.filename == expected.filename


def test_keeps_what_mmseg_knows():
    config = read_config(CITYSCAPES)
    plain = plain_config(config)
    gone = {'runner_type', 'distill_losses', 'teacher', 'load_from', 'resume'}
    assert set(config.keys()) - set(plain.keys()) == gone
    assert all(plain[key] == config[key] for key in plain)


def test_drops_what_depends_on_mmkd():
    plain = plain_config(read_config(CAMVID))
    for split in ('train', 'val', 'test'):
        for part in ('dataloader', 'cfg', 'evaluator'):
            assert f'{split}_{part}' not in plain
    assert 'optim_wrapper' not in plain
    assert plain.default_scope == 'mmseg'


def test_keeps_other_metrics():
    config = read_config(CITYSCAPES)
    before = config.val_evaluator
    fidelity = dict(type='mmkd.FidelityMetric')
    config.val_evaluator = [before, fidelity]
    for alone in (fidelity, [fidelity]):
        config.test_evaluator = alone
        plain = plain_config(config)
        assert plain.val_evaluator == [before]
        assert plain.val_dataloader == config.val_dataloader
        # A Runner needs all three of a split or none.
        for part in ('dataloader', 'cfg', 'evaluator'):
            assert f'test_{part}' not in plain


def test_keeps_other_hooks_and_imports():
    config = read_config(CITYSCAPES)
    config.custom_hooks = [dict(type='EMAHook'), dict(type='mmkd.PanelHook')]
    config.custom_imports = dict(imports=['my_package'])
    plain = plain_config(config)
    assert plain.custom_hooks == [dict(type='EMAHook')]
    assert plain.custom_imports == config.custom_imports
    config.custom_imports = dict(imports=['mmkd'])
    assert 'custom_imports' not in plain_config(config)


def test_keeps_everything_of_a_network_of_mmkd():
    config = read_config(CLASSIFIER)
    config.teacher, config.runner_type = dict(model={}), 'mmkd.DistillRunner'
    plain = plain_config(config)
    assert plain.train_dataloader == config.train_dataloader
    assert not {'teacher', 'runner_type'} & set(plain.keys())
