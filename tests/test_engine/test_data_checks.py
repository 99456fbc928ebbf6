"""Checks of the data that a Runner puts around every dataloader."""

import os

import numpy as np
import pytest
from mmengine.config import Config
from mmseg.registry import TRANSFORMS

import mmkd
from mmkd.errors import UserError
from mmkd.evaluation.ignore_index import ignored_by
from tests.conftest import CLASSES, network
from tests.test_datasets.test_labels import TRAIN, VAL, indices, write

SIZE = (32, 48)
LABELS = [indices(0, 1, 2, 3, 255), indices(0, 1, 2, 4)]


@pytest.fixture
def build(tmp_path):
    def build(split='train', labels=LABELS, epochs=False, **changes):
        write(tmp_path, *labels)
        dataset = dict(
            type='BaseSegDataset',
            data_root=str(tmp_path),
            data_prefix=dict(img_path='image', seg_map_path='label'),
            metainfo=dict(classes=tuple('abcde')),
            pipeline=TRAIN[:3] + TRAIN[4:] if split == 'train' else VAL,
        )
        infinite = dict(type='InfiniteSampler', shuffle=False)
        default = dict(type='DefaultSampler', shuffle=False)
        loader = dict(
            dataset=dataset,
            batch_size=1,
            sampler=infinite if split == 'train' and not epochs else default,
        )
        if split == 'train':
            cfg = dict(by_epoch=True, max_epochs=3)
            if not epochs:
                cfg = dict(type='IterBasedTrainLoop', max_iters=6)
            optimizer = dict(type='SGD', lr=0.01)
            parts = dict(train_cfg=cfg, optim_wrapper=dict(optimizer=optimizer))
        else:
            parts = {f'{split}_cfg': {}, f'{split}_evaluator': dict(type='IoUMetric')}
        model = network()
        model['data_preprocessor']['size'] = SIZE
        model['decode_head']['pool_scales'] = (2, 3)  # for batches of one image
        config = dict(
            model=model,
            work_dir=str(tmp_path / 'runs'),
            default_scope='mmseg',
            default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
            randomness=dict(seed=0),
            experiment_name=f'{tmp_path.name}{len(list(tmp_path.iterdir()))}',
            **{f'{split}_dataloader': loader},
            **parts,
        )
        config = Config(config)
        config.merge_from_dict(changes)
        return mmkd.Runner.from_cfg(config)

    return build


@pytest.mark.parametrize('split', ['train', 'val', 'test'])
@pytest.mark.parametrize(
    'wrong', [indices(0, 77), indices(0, CLASSES), indices(0, size=(16, 24))]
)
def test_every_dataloader(build, split, wrong):
    runner = build(split, [LABELS[1], wrong])
    with pytest.raises(UserError, match=r"label/1\.png'"):
        getattr(runner, split)()


@pytest.mark.parametrize('split', ['val', 'test'])
def test_first_sample(build, split):
    """The first sample is loaded before training without random numbers."""
    key = f'{split}_dataloader.dataset'
    flip = dict(type='RandomFlip', prob=0.5)
    runner = build(split, **{f'{key}.pipeline': [*VAL[:-1], flip, VAL[-1]]})
    before = np.random.get_state()[2]
    loop = getattr(runner, f'build_{split}_loop')(getattr(runner, f'_{split}_loop'))
    assert loop.dataloader.dataset.checked.tolist() == [True, False]
    assert np.random.get_state()[2] == before
    runner = build(split, **{f'{key}.pipeline': [VAL[0], VAL[2], VAL[1], VAL[3]]})
    with pytest.raises(UserError, match=rf'{key}\.pipeline returns .* after Resize'):
        getattr(runner, f'build_{split}_loop')(getattr(runner, f'_{split}_loop'))


@TRANSFORMS.register_module()
class OpenFile:
    """Opens a file when it is first called; processes must not share one."""

    process = None

    def __call__(self, results):
        self.process = self.process or os.getpid()
        assert self.process == os.getpid()
        return results


def test_first_sample_is_loaded_by_a_worker(build):
    pipeline = [*VAL[:-1], dict(type='OpenFile'), VAL[-1]]
    loader = dict(num_workers=2, dataset=dict(pipeline=pipeline))
    assert build('val', val_dataloader=loader).val()
    wrong = [indices(77)]
    with pytest.raises(UserError, match=r"^'.*label/0\.png': label value 77"):
        build('val', wrong, val_dataloader=loader).val()


def test_label_that_the_metric_ignores(build):
    labels = [indices(0, 1, 99)]
    with pytest.raises(UserError, match='label value 99'):
        build('val', labels).val()
    assert build('val', labels, **{'val_evaluator.ignore_index': 99}).val()
    other = dict(type='CityscapesMetric', output_dir='.', ignore_index=7)
    for metrics in ([dict(type='IoUMetric'), other], [other, dict(type='IoUMetric')]):
        assert ignored_by(metrics) == 255


def warnings_of(runner, monkeypatch, split='train'):
    lines = []
    monkeypatch.setattr(runner.logger, 'warning', lines.append)
    for _ in range(1 if split == 'train' else 2):
        getattr(runner, split)()
    return [line for line in lines if 'an epoch of labels' in line]


class TestMissingClass:
    @pytest.mark.parametrize('epochs', [False, True])
    def test_warning(self, build, monkeypatch, epochs):
        """Once, though it is missing from three epochs."""
        labels = [indices(0, 1, 255), indices(0, 4)]
        (line,) = warnings_of(build(labels=labels, epochs=epochs), monkeypatch)
        assert "no pixel of class 2 'c', 3 'd', but pixels of 255" in line
        assert 'reduce_zero_label' in line

    @pytest.mark.parametrize('epochs', [False, True])
    @pytest.mark.parametrize(
        'labels', [LABELS, [indices(0, 1), indices(0, 4)]], ids=['all', 'none ignored']
    )
    def test_no_warning(self, build, monkeypatch, labels, epochs):
        assert not warnings_of(build(labels=labels, epochs=epochs), monkeypatch)

    @pytest.mark.parametrize('split', ['val', 'test'])
    def test_evaluation(self, build, monkeypatch, split):
        """Once, though it is missing from two of them."""
        labels = [indices(0, 1, 255), indices(0, 4)]
        (line,) = warnings_of(build(split, labels), monkeypatch, split)
        assert line.startswith(f'{split}_dataloader: an epoch of labels has no pixel ')
        assert not warnings_of(build(split), monkeypatch, split)

    def test_whole_data_is_awaited(self, build, monkeypatch):
        runner = build(labels=[indices(0, 255)] * 2, **{'train_cfg.max_iters': 1})
        assert not warnings_of(runner, monkeypatch)


def test_black_and_white_labels(build):
    two = {'model.decode_head.num_classes': 2, 'model.auxiliary_head.num_classes': 2}
    two['train_dataloader.dataset.metainfo.classes'] = ('a', 'b')
    runner = build(labels=[indices(0, 255)] * 2, **two)
    with pytest.raises(UserError, match='contain only 0 and 255'):
        runner.train()
