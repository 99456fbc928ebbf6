"""A run whose validation looks at both networks."""

import json
import random

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import Hook

from mmkd.distillation import TeacherMetricHook
from mmkd.errors import UserError
from mmkd.registry import MODELS
from tests.conftest import CLASSES, build_runner
from tests.test_distillation.test_distill_hook import Images as RandomImages

IOU = dict(type='IoUMetric', iou_metrics=['mIoU'])
FIDELITY = dict(type='mmkd.FidelityMetric')


class Images(RandomImages):
    """The same four images, of a data set that names its classes."""

    metainfo = dict(classes=[str(number) for number in range(CLASSES)])


def loader():
    return dict(
        dataset=Images(),
        batch_size=2,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='pseudo_collate'),
    )


@pytest.fixture
def run(distiller_config, tmp_path):
    """Trains for some epochs of two iterations, with a validation after each."""

    def train(epochs, evaluator, resume=False, **more):
        runner = build_runner(
            distiller_config,
            work_dir=str(tmp_path),
            train_dataloader=loader(),
            train_cfg=dict(by_epoch=True, max_epochs=epochs),
            val_dataloader=loader(),
            val_cfg=dict(),
            val_evaluator=evaluator,
            test_dataloader=loader(),
            test_cfg=dict(),
            test_evaluator=evaluator,
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
            resume=resume,
            experiment_name=f'{tmp_path.name}_{epochs}',
            **more,
        )
        runner.train()
        return runner

    return train


def logged(runner, name):
    return runner.message_hub.get_scalar(f'val/{name}').data[0].tolist()


def teachers_miou(distiller_config):
    """Metric of the teacher alone, on all images."""
    config = distiller_config['teacher']
    model = MODELS.build(Config(dict(model=config['model'])).model).eval()
    model.load_state_dict(torch.load(config['checkpoint'])['state_dict'])
    evaluator = Evaluator(IOU)
    evaluator.dataset_meta = Images.metainfo
    for item in Images():
        batch = {key: [value] for key, value in item.items()}
        with torch.no_grad():
            evaluator.process(model.val_step(batch), batch)
    return evaluator.evaluate(4)['mIoU']


def test_each_validation_knows_both(run, distiller_config, tmp_path):
    runner = run(2, [IOU, FIDELITY])
    expected = teachers_miou(distiller_config)
    assert logged(runner, 'teacher/mIoU') == pytest.approx([expected] * 2)
    assert len(logged(runner, 'mIoU')) == 2
    kl = logged(runner, 'fidelity/forward_kl')
    assert len(set(kl)) == 2
    assert all(value > 0 for value in kl)
    # Whoever looks for the last mIoU of a line finds the student's.
    (log,) = tmp_path.glob('*/*.log')
    lines = [line for line in log.read_text().splitlines() if 'Epoch(val)' in line]
    assert len(lines) == 2
    for line in lines:
        assert line.index(' teacher/mIoU: ') < line.index(' mIoU: ')
        assert 'fidelity/ece: ' in line
    # In the same record of scalars.json, too.
    (scalars,) = tmp_path.glob('*/vis_data/scalars.json')
    last = json.loads(scalars.read_text().splitlines()[-1])
    assert {'mIoU', 'teacher/mIoU', 'fidelity/agreement'} < set(last)
    assert last['step'] == 2


def reverse_classes(config):
    """Reverse the order of a teacher's classes, which its checkpoint names."""
    checkpoint = torch.load(config['checkpoint'])
    for name, value in checkpoint['state_dict'].items():
        if '.conv_seg.' in name:
            checkpoint['state_dict'][name] = value.flip(0)
    checkpoint['meta'] = dict(
        dataset_meta=dict(classes=Images.metainfo['classes'][::-1])
    )
    torch.save(checkpoint, config['checkpoint'])


def test_of_a_teacher_with_another_order_of_classes(run, distiller_config, tmp_path):
    """Everything is of our classes, and one line of the log says so."""
    expected = teachers_miou(distiller_config)
    fidelity = logged(run(1, [IOU, FIDELITY]), 'fidelity/teacher_ece')
    reverse_classes(distiller_config['teacher'])
    runner = run(2, [IOU, FIDELITY])
    assert logged(runner, 'teacher/mIoU') == pytest.approx([expected] * 2)
    assert logged(runner, 'fidelity/teacher_ece')[:1] == pytest.approx(fidelity)
    logs = [path.read_text().splitlines() for path in tmp_path.glob('*/*.log')]
    (line,) = (line for log in logs for line in log if '<-' in line)
    assert "'0' <- '0', '1' <- '1'" in line
    assert line.endswith('left out: none; unused outputs of the teacher: none')


def test_a_teacher_of_other_classes_ends_the_run_before_the_first_iteration(
    run, distiller_config, tmp_path
):
    reverse_classes(distiller_config['teacher'])
    distiller_config['teacher']['class_map'] = {'5': 0}
    with pytest.raises(UserError, match=r'^teacher\.class_map: .* no class 5, only 0'):
        run(1, [IOU])
    assert 'Epoch(train)' not in next(tmp_path.glob('*/*.log')).read_text()


class Scores(BaseMetric):
    """Gives one value after the other."""

    def __init__(self, *values):
        super().__init__()
        self.values = iter(values)

    def process(self, data_batch, data_samples):
        self.results.extend(data_samples)

    def compute_metrics(self, results):
        return dict(mIoU=next(self.values))


@pytest.mark.parametrize(('images', 'part'), [(-1, ''), (2, ' on 2 of 4 images')])
def test_a_teacher_that_is_no_better(run, tmp_path, images, part):
    """The warning is logged once, at the first validation that is as good."""
    hooks = [dict(type='mmkd.TeacherMetricHook', images=images)]
    scores = Scores(40.0, 39.0, 'none', torch.tensor([41.0]), 42.0)
    run(4, [scores], custom_hooks=hooks)
    (log,) = tmp_path.glob('*/*.log')
    (line,) = [line for line in log.read_text().splitlines() if ' teacher: ' in line]
    expected = f"teacher: its mIoU of 40.00{part} is not above the student's 41.00; "
    assert f' - WARNING - {expected}' in line


class Draws(Scores):
    """Draws random numbers, and notes the states before and after."""

    def process(self, data_batch, data_samples):
        super().process(data_batch, data_samples)
        before = random_states()
        random.random(), np.random.rand(), torch.rand(1)
        self.states = before, random_states()


class Watches(Hook):
    """Notes the states with which a training begins, and those of the metric."""

    def before_train_epoch(self, runner):
        if runner.epoch > 0:
            return
        self.states = random_states()
        (metric,) = runner.val_loop.evaluator.metrics
        self.drawn = getattr(metric, 'states', None)


def test_measuring_draws_no_random_numbers(run):
    """Whatever data, teacher and metrics draw."""
    without, measured = Watches(), Watches()
    for epochs, images, watch in ((1, 0, without), (2, -1, measured)):
        hooks = [dict(type='mmkd.TeacherMetricHook', images=images), watch]
        metric = Draws(1.0, 2.0, 3.0)
        run(epochs, [metric], custom_hooks=hooks, randomness=dict(seed=0))
    assert without.drawn is None
    assert all(one != other for one, other in zip(*measured.drawn, strict=True))
    assert measured.states == without.states


def random_states():
    """Random numbers of Python, NumPy and PyTorch are kept."""
    numpy = np.random.get_state()
    return (
        random.getstate(),
        (numpy[1].tolist(), *numpy[2:]),
        torch.get_rng_state().tolist(),
    )


def test_the_teacher_is_measured_once(run, tmp_path):
    first = run(1, [IOU, FIDELITY])
    runner = run(2, [IOU, FIDELITY], resume=True)
    logs = {path.read_text() for path in tmp_path.glob('*/*.log')}  # one a second
    assert ''.join(logs).count('Measuring the teacher') == 1
    assert runner.epoch == 2
    assert logged(runner, 'teacher/mIoU') == logged(first, 'teacher/mIoU') * 2


def test_a_test_after_training_knows_both(run):
    runner = run(1, [IOU, FIDELITY])
    assert runner.test() == pytest.approx(runner.val(), nan_ok=True)


class Anything(BaseMetric):
    """Metrics of all kinds, as stock MMEngine logs them."""

    default_prefix = 'any'

    def process(self, data_batch, data_samples):
        self.results += [0] * len(data_samples)

    def compute_metrics(self, results):
        one = dict(int=3, array=np.full((1, 1), 0.5), tensor=torch.ones(1) / 4)
        none = dict(text='good', list=[1, 2], dict=dict(a=1), nothing=None)
        return dict(one, **none, long=np.ones(3), complex=1j, names=np.array(['a']))


def test_metrics_that_are_no_numbers(run, tmp_path):
    """Are logged, but are no curves."""
    runner = run(1, [Anything()])
    curves = {k for k in runner.message_hub.log_scalars if 'teacher/' in k}
    assert curves == {f'val/teacher/any/{k}' for k in ('int', 'array', 'tensor')}
    assert logged(runner, 'teacher/any/array') == [0.5]
    (log,) = tmp_path.glob('*/*.log')
    (line,) = (x for x in log.read_text().splitlines() if 'Teacher on' in x)
    for text in ('any/int: 3', 'any/array: 0.5', 'any/tensor: 0.25', 'any/text: good'):
        assert text in line


def test_without_the_metric_the_teacher_stays_out(run):
    runner = run(1, [IOU])
    assert not runner.model.compares
    assert len(logged(runner, 'teacher/mIoU')) == 1


def test_the_metric_alone(run, tmp_path):
    """Nothing is left to measure the teacher with."""
    runner = run(1, [FIDELITY])
    assert logged(runner, 'fidelity/agreement')
    assert 'val/teacher/mIoU' not in runner.message_hub.log_scalars
    (log,) = tmp_path.glob('*/*.log')
    assert 'Measuring the teacher' not in log.read_text()


def test_refuses_another_number_of_images():
    with pytest.raises(UserError, match=r'^TeacherMetricHook\.images: must be an int'):
        TeacherMetricHook(images='all')
