import copy
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS

from mmkd.engine.student_config import standalone_student, student_config

CONFIGS = Path(__file__).parents[2] / 'configs'
(CITYSCAPES,) = CONFIGS.glob('bdd_ls/*_cityscapes-512x1024.py')
(CAMVID,) = CONFIGS.glob('bdd_ls/*_camvid-240x240.py')


def read(path):
    return Config.fromfile(path)


def test_student_config():
    config = read(CAMVID)
    before = copy.deepcopy(config.to_dict())
    student = student_config(config)
    assert student.model == config.model.student
    assert student.test_dataloader == config.test_dataloader
    student.model.decode_head.channels = 1
    assert config.to_dict() == before
    # Under its name the Runner would overwrite the record of the distillation.
    assert student.filename is None


@pytest.mark.parametrize('change', [student_config, standalone_student])
def test_other_configs_keep_their_model(change):
    config = Config.fromfile(
        CONFIGS / 'pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py'
    )
    assert change(config).model == config.model
    assert change(config).filename == config.filename


@pytest.mark.parametrize('path', [CITYSCAPES, CAMVID], ids=['cityscapes', 'camvid'])
def test_standalone_has_no_word_of_mmkd(path, tmp_path):
    config = read(path)
    before = copy.deepcopy(config.to_dict())
    standalone_student(config).dump(tmp_path / 'student.py')
    assert config.to_dict() == before
    assert 'mmkd' not in (tmp_path / 'student.py').read_text()

    plain = Config.fromfile(tmp_path / 'student.py')
    assert plain.model == config.model.student
    assert plain.test_pipeline == config.test_pipeline
    plain.model.pretrained = None
    with DefaultScope.overwrite_default_scope('mmseg'):
        MODELS.build(plain.model)


def test_standalone_keeps_what_mmseg_knows():
    config, plain = read(CITYSCAPES), standalone_student(read(CITYSCAPES))
    gone = {'custom_imports', 'distill_losses', 'teacher'}
    assert set(config.keys()) - set(plain.keys()) == gone
    for key in set(plain.keys()) - {'model'}:
        assert plain[key] == config[key]


def test_standalone_drops_what_depends_on_mmkd():
    plain = standalone_student(read(CAMVID))
    for split in ('train', 'val', 'test'):
        for part in ('dataloader', 'cfg', 'evaluator'):
            assert f'{split}_{part}' not in plain
    assert 'optim_wrapper' not in plain
    assert plain.default_scope == 'mmseg'


def test_standalone_keeps_other_metrics():
    config = read(CITYSCAPES)
    before = config.val_evaluator
    fidelity = dict(type='mmkd.FidelityMetric')
    config.val_evaluator = [before, fidelity]
    for alone in (fidelity, [fidelity]):
        config.test_evaluator = alone
        plain = standalone_student(config)
        assert plain.val_evaluator == [before]
        assert plain.val_dataloader == config.val_dataloader
        # A Runner wants all three of a split or none.
        for part in ('dataloader', 'cfg', 'evaluator'):
            assert f'test_{part}' not in plain


def test_standalone_keeps_other_hooks():
    config = read(CITYSCAPES)
    config.custom_hooks = [dict(type='EMAHook'), dict(type='mmkd.SaveOnSignalHook')]
    assert standalone_student(config).custom_hooks == [dict(type='EMAHook')]
