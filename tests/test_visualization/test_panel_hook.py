"""Panels that a run sends to the visualizer."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.runner import Runner
from PIL import Image

import mmkd
from mmkd.datasets import CamVidDataset
from mmkd.errors import UserError
from mmkd.visualization import (
    PanelHook,
    panel_columns,
    panel_hook,
    panel_pixels,
    panel_rows,
)
from tests.conftest import CLASSES, build_runner, network
from tests.test_tools.conftest import write_camvid

PANELS = dict(type='mmkd.PanelHook')
IOU = dict(type='IoUMetric', iou_metrics=['mIoU'])
FIDELITY = dict(type='mmkd.FidelityMetric')
LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
CROP = dict(type='RandomCrop', crop_size=(32, 32))
DRAW = dict(type='RandomFlip', prob=0.0)  # draws a number, and never flips
PACK = dict(type='PackSegInputs')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('camvid')
    write_camvid(folder)
    return folder


@pytest.fixture
def run(distiller_config, folder, tmp_path):
    """Trains for some epochs of three iterations, with a validation after each."""

    def loader(split, *pipeline):
        return dict(
            dataset=dict(
                type='mmkd.CamVidDataset',
                data_root=str(folder),
                data_prefix=dict(img_path=split, seg_map_path=f'{split}annot'),
                metainfo=dict(classes=CamVidDataset.METAINFO['classes'][:CLASSES]),
                pipeline=[*LOAD, *pipeline, PACK],
            ),
            batch_size=2,
            sampler=dict(type='DefaultSampler', shuffle=split == 'train'),
            collate_fn=dict(type='pseudo_collate'),
        )

    def train(*hooks, name='run', epochs=2, metrics=(IOU,), kind=None):
        arguments = dict(
            work_dir=str(tmp_path / name),
            train_dataloader=loader('train', CROP),
            train_cfg=dict(by_epoch=True, max_epochs=epochs),
            val_dataloader=loader('val', DRAW),
            val_cfg=dict(),
            val_evaluator=list(metrics),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
            custom_hooks=list(hooks),
            visualizer=dict(
                type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')]
            ),
            randomness=dict(seed=0),
            experiment_name=f'{tmp_path.name}_{name}',
        )
        if kind is None:
            runner = build_runner(distiller_config, **arguments)
        else:
            runner = kind(
                model=ConfigDict(network()), default_scope='mmseg', **arguments
            )
        runner.train()
        return runner

    return train


def pictures(runner):
    """Return the images of the local backend, by file name."""
    files = sorted(Path(runner.work_dir).glob('*/vis_data/vis_image/*'))
    return {file.name: np.asarray(Image.open(file)) for file in files}


def expected(runner, indices, **networks):
    rows = panel_rows(networks, runner.val_dataloader.dataset, indices)
    teacher = 'teacher' if 'teacher' in networks else None
    meta = runner.val_dataloader.dataset.metainfo
    return panel_pixels(list(rows), panel_columns(meta, 'student', teacher))


def test_panels_arrive_at_their_iterations(run):
    runner = run(dict(PANELS, images=3))
    found = pictures(runner)
    assert list(found) == ['panel_3.png', 'panel_6.png']
    student, teacher = runner.network.eval(), runner.teacher.model
    last = expected(runner, [0, 1, 3], teacher=teacher, student=student)
    assert (found['panel_6.png'] == last).all()
    assert found['panel_3.png'].shape == last.shape
    assert (found['panel_3.png'] != last).any()  # the student has learnt


def test_interval(run):
    runner = run(dict(PANELS, interval=2, images=1), epochs=3)
    assert list(pictures(runner)) == ['panel_6.png']


@pytest.mark.parametrize(
    'metrics',
    [pytest.param((IOU,), marks=pytest.mark.slow), (IOU, FIDELITY)],
    ids=['iou', 'fidelity'],
)
def test_training_and_metrics_stay_the_same(run, metrics):
    plain = run(metrics=metrics, name='plain')
    watched = run(dict(PANELS, images=2), metrics=metrics, name='watched')
    assert len(pictures(watched)) == 2
    for name, value in plain.model.state_dict().items():
        assert torch.equal(watched.model.state_dict()[name], value), name
    logs = [runner.message_hub.log_scalars for runner in (plain, watched)]
    for name in logs[0]:
        if 'time' not in name and not name.endswith('memory'):  # that of the process
            first, second = (log[name].data[0] for log in logs)
            np.testing.assert_array_equal(first, second, err_msg=name)
    assert watched.model.compares == plain.model.compares


def test_the_weights_are_those_that_are_validated(run):
    """The averaged ones, where EMAHook puts them in place."""
    runner = run(PANELS, dict(type='EMAHook', momentum=0.5), epochs=1)
    found = pictures(runner)['panel_3.png']
    student, teacher = runner.network.eval(), runner.teacher.model
    trained = expected(runner, [0, 2], teacher=teacher, student=student)
    assert (found != trained).any()
    ema = next(hook for hook in runner.hooks if type(hook).__name__ == 'EMAHook')
    student = ema.ema_model.module.student.eval()
    averaged = expected(runner, [0, 2], teacher=teacher, student=student)
    assert (found == averaged).all()


@pytest.mark.parametrize('kind', [mmkd.Runner, Runner], ids=['mmkd', 'mmengine'])
def test_without_a_teacher(run, kind):
    runner = run(PANELS, epochs=1, kind=kind)
    found = pictures(runner)['panel_3.png']
    assert (found == expected(runner, [0, 2], student=runner.model.eval())).all()


def test_only_the_main_process_works(run, monkeypatch):
    monkeypatch.setattr(panel_hook, 'is_main_process', lambda: False)
    monkeypatch.setattr(panel_hook, 'panel_rows', None)
    assert not pictures(run(PANELS, epochs=1))


def test_classifiers_are_refused(run):
    class Classifier(torch.nn.Module):
        pass

    runner = run(epochs=1)
    runner.model = Classifier()
    with pytest.raises(UserError, match=r'custom_hooks: PanelHook .* a Classifier'):
        PanelHook().before_train(runner)


@pytest.mark.parametrize('name', ['images', 'interval'])
def test_numbers_below_one(name):
    with pytest.raises(UserError, match=f'PanelHook.{name}: must be at least 1'):
        PanelHook(**{name: 0})
