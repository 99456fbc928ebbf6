"""Distillation on images without labels."""

import copy
import gc
import shutil
import time
from contextlib import suppress

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from PIL import Image
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

import mmkd
from mmkd.distillation import Distiller
from mmkd.engine.cpu_amp import CpuAmpOptimWrapper
from mmkd.errors import UserError
from mmkd.functional import kl_divergence
from mmkd.losses import KDLoss
from mmkd.losses.schedule import Progress
from tests.conftest import CLASSES, build_distiller, random_batch

from .test_distiller import without_dropout

TAP = 'decode_head.conv_seg'


def make(config, **unlabeled):
    """Build a Distiller with unlabeled images, in train mode and without dropout."""
    student = build_distiller(config, initialize=False).student
    distiller = Distiller(
        student, config['teacher'], config['distill_losses'], unlabeled=unlabeled
    )
    distiller.init_weights()
    return without_dropout(distiller.train())


def losses_of(distiller, batch, unlabeled=None):
    data = distiller.data_preprocessor(copy.deepcopy(batch), True)
    if distiller.unlabeled is not None:
        distiller.unlabeled.batch = copy.deepcopy(unlabeled)
    return distiller(**data, mode='loss')


def without_labels(size=(32, 32)):
    """Two images, which the preprocessor pads to (32, 32)."""
    batch = random_batch(size=size)
    for sample in batch['data_samples']:
        del sample.gt_sem_seg
    return batch


@pytest.fixture
def batches():
    torch.manual_seed(0)
    return random_batch(), without_labels(size=(24, 28))


class TestValue:
    def test_is_the_formula(self, distiller_config, batches):
        """Mean over the pixels of the images, without their padding, of plain KL."""
        distiller = make(distiller_config, weight=0.5)
        losses = losses_of(distiller, *batches)
        plain = build_distiller(distiller_config)
        plain.load_state_dict(distiller.state_dict())
        expected = losses_of(without_dropout(plain.train()), batches[0])
        assert set(losses) == {*expected, 'unlabeled.loss_kd'}
        for name, value in expected.items():
            assert torch.equal(losses[name], value), name
        images = distiller.data_preprocessor(copy.deepcopy(batches[1]), True)['inputs']
        with torch.no_grad():
            ours = distiller.student(images, mode='tensor')
            theirs = distiller.teacher.model(images, mode='tensor')
        stride = 32 // ours.shape[2]
        inside = (..., slice(-(-24 // stride)), slice(-(-28 // stride)))
        value = kl_divergence(ours, theirs)[inside].mean()
        assert value > 1e-4
        torch.testing.assert_close(losses['unlabeled.loss_kd'], 0.5 * value)

    def test_labels_are_not_used(self, distiller_config, batches):
        labeled = copy.deepcopy(batches[1])
        again = random_batch(size=(24, 28))['data_samples']
        for sample, other in zip(labeled['data_samples'], again, strict=True):
            sample.gt_sem_seg = other.gt_sem_seg
        values = [
            losses_of(make_seeded(distiller_config), batches[0], unlabeled)
            for unlabeled in (batches[1], labeled)
        ]
        assert values[0] == values[1]

    def test_gradient(self, distiller_config, batches):
        """The unlabeled images train the student and have no task loss."""
        distiller = make(distiller_config)
        losses = losses_of(distiller, *batches)
        losses['unlabeled.loss_kd'].backward()
        trained = {n for n, p in distiller.named_parameters() if p.grad is not None}
        assert trained == {
            name
            for name, _ in distiller.named_parameters()
            if 'auxiliary_head' not in name
        }
        (count,) = {
            int(value)
            for name, value in distiller.student.named_buffers()
            if name.startswith('backbone') and name.endswith('num_batches_tracked')
        }
        assert count == 2  # BN has seen both batches

    def test_a_batch_is_used_once(self, distiller_config, batches):
        distiller = make(distiller_config)
        assert losses_of(distiller, *batches)['unlabeled.loss_kd'] > 0
        data = distiller.data_preprocessor(copy.deepcopy(batches[0]), True)
        assert distiller(**data, mode='loss')['unlabeled.loss_kd'] == 0

    def test_schedules(self, distiller_config, batches):
        """The schedules of the unlabeled images and of a loss multiply."""
        distiller_config['distill_losses']['loss_kd']['schedule'] = dict(warmup=4)
        distiller = make(distiller_config, weight=3.0, schedule=dict(warmup=2, stop=8))

        def at(iteration):
            distiller.progress = Progress(iteration)
            return float(losses_of(distiller, *batches)['unlabeled.loss_kd'])

        full = at(5)
        assert at(0) == pytest.approx(full / 8, rel=1e-5)
        assert at(1) == pytest.approx(full / 2, rel=1e-5)
        assert at(8) == 0

    @pytest.mark.parametrize(
        'loss',
        [
            dict(type='KDLoss', standardize=True, resolution='label'),
            dict(type='KDLoss', class_balanced=True),
            dict(type='CWDLoss'),
            dict(type='DISTLoss'),
            dict(type='CTKDLoss', warmup=0),
            dict(type='FeatureMSELoss', adapter='conv'),
            dict(type='SimilarityLoss'),
            dict(type='DeepSupervisionLoss'),
        ],
        ids=lambda loss: loss['type'],
    )
    def test_losses_that_need_no_labels(self, distiller_config, batches, loss):
        """Their padding is not compared: its values have no effect."""
        distiller_config['distill_losses'] = dict(loss_kd=loss)
        distiller = make(distiller_config)
        if distiller.lacks_adapters:
            data = distiller.data_preprocessor(copy.deepcopy(batches[0]), True)
            distiller.build_adapters(data['inputs'], data['data_samples'], 0)
        value = losses_of(distiller, *batches)['unlabeled.loss_kd']
        assert 0 < value < 1e3

    def test_in_mixed_precision(self, distiller_config, batches):
        """The student's forward pass alone is rounded."""
        logs = []
        for kind in (OptimWrapper, CpuAmpOptimWrapper):
            distiller = make_seeded(distiller_config)
            distiller.unlabeled.batch = copy.deepcopy(batches[1])
            wrapper = kind(torch.optim.SGD(distiller.parameters(), 0.01))
            logs.append(distiller.train_step(copy.deepcopy(batches[0]), wrapper))
        recorded = distiller.recorded
        assert recorded[f'unlabeled.student.{TAP}'].dtype == torch.bfloat16
        assert recorded[f'unlabeled.teacher.{TAP}'].dtype == torch.float32
        exact, rounded = (log['unlabeled.loss_kd'] for log in logs)
        torch.testing.assert_close(rounded, exact, rtol=0.1, atol=0.01)

    def test_classifiers(self, classifiers):
        distiller = make(classifiers)
        from mmpretrain.structures import DataSample

        images = list(torch.rand(4, 3, 32, 32) * 255)
        samples = [DataSample().set_gt_label(label) for label in range(4)]
        batch = dict(inputs=images, data_samples=samples)
        unlabeled = dict(inputs=images, data_samples=[DataSample() for _ in images])
        losses = losses_of(distiller, batch, unlabeled)
        torch.testing.assert_close(
            losses['unlabeled.loss_kd'], losses['distill.loss_kd']
        )


def make_seeded(config):
    torch.manual_seed(3)
    return make(config)


class TestChoice:
    LOSSES = dict(
        loss_kd=dict(type='KDLoss'),
        loss_dkd=dict(type='DKDLoss'),
        loss_ifvd=dict(type='IFVDLoss'),
        loss_deep=dict(type='DeepSupervisionLoss', loss=dict(type='DKDLoss')),
        loss_aux=dict(type='KDLoss', student='auxiliary_head.conv_seg'),
    )

    @pytest.mark.parametrize(
        ('losses', 'unlabeled', 'says'),
        [
            (['loss_dkd', 'loss_ifvd'], {}, r'^unlabeled: every loss .*loss_dkd, '),
            (['loss_deep'], {}, r'^unlabeled: every loss of distill_losses needs'),
            (['loss_kd', 'loss_dkd'], dict(losses=['loss_dkd']), 'dkd. needs labels'),
            (['loss_kd'], dict(losses=['loss_k']), r'choose from loss_kd'),
            (['loss_kd'], dict(losses=[]), r'^unlabeled\.losses: it is empty'),
            (['loss_kd'], dict(share=1), r'^unlabeled\.share: unknown key'),
            (['loss_kd'], dict(weight=-1), r'^unlabeled\.weight must be >= 0'),
            (['loss_kd'], dict(weight='a'), r'^unlabeled\.weight must be a number'),
            (['loss_kd'], dict(schedule=3), r'^unlabeled\.schedule: must be a dict'),
            (['loss_kd'], dict(schedule=dict(stop=0)), r'^unlabeled\.schedule\.stop'),
            (['loss_kd'], dict(schedule=dict(warm=0)), r'^unlabeled\.schedule\.warm: '),
        ],
    )
    def test_errors(self, distiller_config, losses, unlabeled, says):
        configs = {name: self.LOSSES[name] for name in losses}
        with pytest.raises(UserError, match=says):
            Distiller(
                build_distiller(distiller_config, initialize=False).student,
                distiller_config['teacher'],
                configs,
                unlabeled=unlabeled,
            )

    def test_losses_that_need_labels_are_left_out(
        self, distiller_config, batches, capfd
    ):
        distiller_config['distill_losses'] = {
            name: self.LOSSES[name] for name in ('loss_kd', 'loss_dkd')
        }
        losses = losses_of(make(distiller_config), *batches)
        assert {name for name in losses if 'unlabeled' in name} == {'unlabeled.loss_kd'}
        assert losses['distill.loss_dkd'] > 0

    def test_a_tap_that_does_not_run_without_labels(self, distiller_config, batches):
        distiller_config['distill_losses'] = {
            name: self.LOSSES[name] for name in ('loss_kd', 'loss_aux')
        }
        with pytest.raises(UserError, match=r"loss_aux\.student: 'auxiliary_head"):
            losses_of(make(distiller_config), *batches)
        losses = losses_of(make(distiller_config, losses=['loss_kd']), *batches)
        assert losses['unlabeled.loss_kd'] > 0


class TestVoidPixels:
    """``ignore_index=None`` compares labeled images as those without labels."""

    @pytest.mark.parametrize(
        'kind', ['KDLoss', 'CWDLoss', 'DISTLoss', 'SimilarityLoss']
    )
    def test_equals_unlabeled(self, distiller_config, kind):
        distiller_config['distill_losses'] = dict(
            loss_kd=dict(type=kind, ignore_index=None)
        )
        torch.manual_seed(0)
        batch = random_batch(size=(24, 28))
        batch['data_samples'][0].gt_sem_seg.data[:] = 255
        distiller = make(distiller_config)
        losses = losses_of(distiller, batch, batch)
        assert losses['distill.loss_kd'] > 0
        torch.testing.assert_close(
            losses['distill.loss_kd'], losses['unlabeled.loss_kd']
        )

    def test_a_module_alone(self):
        """Without images, no pixel is padding."""
        loss = KDLoss(ignore_index=None)
        student, teacher = torch.rand(2, 1, 4, 2, 2)
        target = torch.full((1, 2, 2), 255)
        assert loss(student, teacher, target) == loss(student, teacher)

    @pytest.mark.parametrize('kind', ['DKDLoss', 'IFVDLoss'])
    def test_losses_that_need_labels(self, distiller_config, kind):
        distiller_config['distill_losses'] = dict(
            loss_kd=dict(type=kind, ignore_index=None)
        )
        with pytest.raises(UserError, match=rf'loss_kd\.ignore_index: .*{kind} needs'):
            make(distiller_config)

    def test_a_teacher_that_lacks_a_class(self, distiller_config, batches):
        distiller_config['distill_losses']['loss_kd']['ignore_index'] = None
        distiller_config['teacher']['class_map'] = {0: None}
        losses = losses_of(make(distiller_config), *batches)
        assert losses['distill.loss_kd'] > 0
        assert losses['unlabeled.loss_kd'] > 0


ITERATIONS = dict(type='IterBasedTrainLoop', max_iters=8)
EPOCHS = dict(type='EpochBasedTrainLoop', max_epochs=4)  # of two iterations
LOOPS = pytest.mark.parametrize('loop', [ITERATIONS, EPOCHS], ids=['iters', 'epochs'])


class Killed(Exception):
    """The end of a run at a moment at which nothing is saved."""


class Watch(Hook):
    """Note the files of each unlabeled batch; end the run before an iteration."""

    priority = 'HIGH'

    def __init__(self, kill_at=-1):
        self.kill_at = kill_at
        self.files = []

    def before_train_iter(self, runner, *args, **kwargs):
        if runner.iter == self.kill_at:
            raise Killed
        batch = runner.distiller.unlabeled.batch
        if batch is not None:
            samples = batch['data_samples']
            self.files += [int(sample.img_path[-5]) for sample in samples]


@pytest.fixture
def images(tmp_path):
    """Four labeled images and seven others, of which no label exists."""
    folder, rng = tmp_path / 'data', np.random.default_rng(0)
    for name, number in (('labeled', 4), ('label', 4), ('unlabeled', 7)):
        (folder / name).mkdir(parents=True)
        for index in range(number):
            shape = (40, 48) if name == 'label' else (40, 48, 3)
            array = rng.integers(0, CLASSES if name == 'label' else 256, shape)
            image = Image.fromarray(array.astype(np.uint8))
            image.save(folder / name / f'{index}.png')
    return folder


@pytest.fixture
def start(distiller_config, images, tmp_path):
    """Starts or resumes a training; returns its Runner and what was watched."""

    def start(name, loop=ITERATIONS, kill_at=-1, changes=None):
        def dataset(load, **folders):
            crop = dict(type='RandomCrop', crop_size=(32, 32))
            flip = dict(type='RandomFlip', prob=0.5)
            pipeline = [dict(type='LoadImageFromFile'), *load, crop, flip]
            return dict(
                type='BaseSegDataset',
                data_root=str(images),
                data_prefix=folders,
                img_suffix='.png',
                metainfo=dict(classes=tuple('abcde')),
                pipeline=[*pipeline, dict(type='PackSegInputs')],
            )

        by_epoch = loop is EPOCHS
        sampler = 'DefaultSampler' if by_epoch else 'InfiniteSampler'
        config = Config(
            dict(
                distiller_config,
                runner_type='mmkd.DistillRunner',
                work_dir=str(tmp_path / name),
                train_dataloader=dict(
                    batch_size=2,
                    sampler=dict(type=sampler, shuffle=True),
                    dataset=dataset(
                        [dict(type='LoadAnnotations')],
                        img_path='labeled',
                        seg_map_path='label',
                    ),
                ),
                unlabeled_dataloader=dict(
                    batch_size=3,
                    sampler=dict(type='InfiniteSampler', shuffle=True),
                    dataset=dataset([], img_path='unlabeled'),
                ),
                train_cfg=dict(loop),
                optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9)),
                default_hooks=dict(
                    logger=dict(type='LoggerHook', interval=1),
                    checkpoint=dict(
                        type='CheckpointHook',
                        by_epoch=by_epoch,
                        interval=1 if by_epoch else 3,
                    ),
                ),
                log_processor=dict(by_epoch=by_epoch),
                default_scope='mmseg',
                randomness=dict(seed=0),
                resume=True,
                experiment_name=f'{tmp_path.name}_{name}_{time.monotonic_ns()}',
            )
        )
        config.merge_from_dict(changes or {})
        runner = mmkd.DistillRunner.from_cfg(config)
        watch = Watch(kill_at)
        runner.register_hook(watch)
        with suppress(Killed):
            runner.train()
        end_workers()
        return runner, watch.files

    return start


def end_workers():
    """End the workers of all loaders.

    Where the cyclic garbage collection does it, their queues are closed before them,
    and each is waited for in vain for ten seconds.
    """
    for each in gc.get_objects():
        if isinstance(each, _MultiProcessingDataLoaderIter):
            each._shutdown_workers()


def state_of(runner):
    """Weights, statistics and momentum."""
    state = dict(runner.model.state_dict())
    for number, kept in runner.optim_wrapper.optimizer.state_dict()['state'].items():
        state[f'momentum {number}'] = kept['momentum_buffer']
    return state


class TestRunner:
    @LOOPS
    @pytest.mark.parametrize('workers', [pytest.param(0, marks=pytest.mark.slow), 2])
    def test_resumed_at_any_iteration(self, start, loop, workers):
        """Bit-identical, with the same images; dropout draws the same, too."""
        changes = {
            'unlabeled_dataloader.num_workers': workers,
            'optim_wrapper.accumulative_counts': 2,
        }
        whole, files = start('whole', loop, changes=changes)
        assert len(files) == 8 * 3
        for kill_at in (5,) if workers else (5, 7):
            cut, _ = start('cut', loop, kill_at, changes)
            assert cut.iter == kill_at
            resumed, rest = start('cut', loop, changes=changes)
            assert 0 < len(rest) < len(files)
            assert files[-len(rest) :] == rest
            expected, found = state_of(whole), state_of(resumed)
            assert expected.keys() == found.keys()
            assert all(torch.equal(expected[n], found[n]) for n in expected), kill_at
            shutil.rmtree(cut.work_dir)

    @LOOPS
    def test_each_image_once_an_epoch(self, start, loop):
        """An epoch of its own: seven images in batches of three."""
        runner, files = start('run', loop)
        assert sorted(files[:7]) == sorted(files[7:14]) == list(range(7))
        assert files[:7] != files[7:14]
        log = runner.message_hub.get_scalar('train/unlabeled.loss_kd').data[0]
        assert len(log) == 8
        assert (log > 0).all()

    def test_workers_do_not_matter(self, start):
        states = [
            state_of(start(str(n), changes={'unlabeled_dataloader.num_workers': n})[0])
            for n in (0, 2)
        ]
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])

    def test_labeled_images_are_those_of_a_run_without(self, start):
        """The random numbers, for example of dropout, are not changed either."""
        first = [
            float(start(name, changes=changes)[0].message_hub.get_scalar(
                'train/decode.loss_ce'
            ).data[0][0])
            for name, changes in (
                ('with', {}),
                ('weight 0', dict(unlabeled=dict(weight=0.0))),
            )
        ]  # fmt: skip
        assert first[0] == first[1]

    def test_no_image_is_loaded_after_the_stop(self, start):
        unlabeled = dict(schedule=dict(stop=3))
        _, files = start('run', changes=dict(unlabeled=unlabeled))
        assert len(files) == 3 * 3

    def test_a_schedule_longer_than_the_run(self, start):
        unlabeled = dict(schedule=dict(warmup=9))
        with pytest.raises(UserError, match=r'^unlabeled\.schedule\.warmup: 9 iter'):
            start('run', changes=dict(unlabeled=unlabeled))

    def test_a_corrupt_file(self, start, images, capfd):
        path = images / 'unlabeled/3.png'
        path.write_bytes(path.read_bytes()[:-200])
        with pytest.raises(UserError, match=r"unlabeled/3\.png' cannot be read"):
            start('stops')
        start('skips', changes=dict(skip_corrupt=True))
        printed = capfd.readouterr().out
        assert 'skip_corrupt: 0 of 4 training samples were skipped' in printed
        assert 'skip_corrupt: 1 of 7 unlabeled samples were skipped' in printed

    def test_the_first_sample_before_the_training(self, start, images):
        """An error in the pipeline, as of a step that needs labels, names the file."""
        crop = dict(type='RandomCrop', crop_size=(32, 32), cat_max_ratio=0.75)
        load, pack = dict(type='LoadImageFromFile'), dict(type='PackSegInputs')
        changes = {'unlabeled_dataloader.dataset.pipeline': [load, crop, pack]}
        with pytest.raises(UserError, match=r'unlabeled/0\.png.*gt_seg_map'):
            start('run', kill_at=0, changes=changes)

    def test_without_images(self, start):
        with pytest.raises(UserError, match=r'^unlabeled: without images'):
            start('run', changes=dict(unlabeled={}, unlabeled_dataloader=None))

    def test_a_missing_folder(self, start):
        changes = {'unlabeled_dataloader.dataset.data_prefix.img_path': 'gone'}
        says = r'^unlabeled_dataloader\.dataset\.data_prefix\.img_path: '
        with pytest.raises(UserError, match=says):
            start('run', changes=changes)
