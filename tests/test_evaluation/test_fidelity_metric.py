import math

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import Evaluator, metric
from mmengine.registry import DefaultScope

from mmkd.errors import UserError
from mmkd.evaluation import FidelityMetric, fidelity_metric
from tests.conftest import HANGS
from tests.test_evaluation.reference import calibration_error, fidelity
from tests.test_tools.conftest import preload

IMAGES = 25


def make(kind, ties=False, classes=6, ignored=255):
    """Samples as a Distiller's predictions; maps are of different sizes."""
    generator = torch.Generator().manual_seed(0)

    def logits(*size):
        values = 4 * torch.randn(classes, *size, generator=generator)
        return values.round() if ties else values

    samples = []
    for number in range(IMAGES):
        size = (5, 3 + number % 4) if kind == 'maps' else ()
        teacher = logits(*size)
        student = 0.6 * teacher + (0.4 * logits(*size)).round(decimals=1 - ties)
        odds = student.softmax(0).view(classes, -1).T
        label = torch.multinomial(odds, 1, generator=generator).view(1, *size)
        sample = dict(student_logits=student, teacher_logits=teacher)
        if kind == 'maps':
            label[:, :2] = ignored
            sample['gt_sem_seg'] = dict(data=label)
        else:
            sample['gt_label'] = label
        samples.append(sample)
    return samples


def positions(samples):
    """Logits and labels of all that counts."""
    found = []
    for sample in samples:
        student, teacher = sample['student_logits'], sample['teacher_logits']
        if 'gt_label' in sample:
            found.append((student[None], teacher[None], sample['gt_label']))
        else:
            label = sample['gt_sem_seg']['data'][0]
            counted = label != 255
            found.append((student[:, counted].T, teacher[:, counted].T, label[counted]))
    return [torch.cat(x).double().numpy() for x in zip(*found, strict=True)]


def measure(samples, batch=2, **options):
    measured = FidelityMetric(**options)
    for start in range(0, len(samples), batch):
        measured.process(None, samples[start : start + batch])
    return measured.evaluate(len(samples))


def compare(found, expected, tolerance=1e-6):
    assert set(found) == {f'fidelity/{name}' for name in expected}
    for name, value in expected.items():
        assert found[f'fidelity/{name}'] == pytest.approx(value, abs=tolerance), name


@pytest.mark.parametrize('ties', [False, True])
@pytest.mark.parametrize('kind', ['maps', 'vectors'])
def test_agrees_with_scipy_and_sklearn(kind, ties):
    samples = make(kind, ties)
    expected = fidelity(*positions(samples))
    assert 0.5 < expected['agreement'] < 1  # the case says something
    assert expected['small_probability_error'] > 0.1
    in_one_bin = calibration_error(*positions(samples)[::2], bins=1)
    assert expected['ece'] > in_one_bin + 0.01
    compare(measure(samples), expected)


def test_many_vectors_in_half_precision():
    torch.manual_seed(1)
    student, teacher = 3 * torch.randn(2, 300, 100, dtype=torch.float16)
    label = torch.randint(0, 100, (300, 1))
    samples = [
        dict(student_logits=s, teacher_logits=t, gt_label=y)
        for s, t, y in zip(student, teacher, label, strict=True)
    ]
    compare(measure(samples, batch=64), fidelity(*positions(samples)))


def test_threshold_and_bins():
    samples = make('maps')
    found = measure(samples, threshold=0.1, bins=4)
    compare(found, fidelity(*positions(samples), threshold=0.1, bins=4))
    assert found != measure(samples, threshold=0.1)
    assert found != measure(samples, bins=4)


def test_stride_takes_every_other_row_and_column():
    samples, sampled = make('maps'), make('maps')
    for sample in sampled:
        for name in ('student_logits', 'teacher_logits'):
            sample[name] = sample[name][:, ::2, ::2]
        label = sample['gt_sem_seg']['data']
        sample['gt_sem_seg']['data'] = label[:, ::2, ::2]
    compare(measure(samples, stride=2), fidelity(*positions(sampled)))
    vectors = make('vectors')
    compare(measure(vectors, stride=2), fidelity(*positions(vectors)))


def test_chunks_and_batches_change_nothing():
    samples = make('maps')
    whole = measure(samples)
    chunked = measure(samples, batch=3, chunk=60)  # ten pixels
    assert chunked == pytest.approx(whole, abs=1e-12)


def test_the_teacher_itself():
    samples = make('maps')
    for sample in samples:
        sample['student_logits'] = sample['teacher_logits']
    found = measure(samples)
    ece = found.pop('fidelity/ece')
    assert ece == found.pop('fidelity/teacher_ece') > 0
    one = ('agreement', 'rank_correlation', 'std_ratio')
    assert found == pytest.approx(
        {name: float(name.removeprefix('fidelity/') in one) for name in found}
    )


def test_constant_logits_have_no_order_and_no_spread():
    samples = make('maps')
    samples[0]['teacher_logits'][:, 3] = 0.1
    samples[1]['student_logits'][:, 4] = 0.1
    compare(measure(samples), fidelity(*positions(samples)))


def test_nothing_but_ignored_pixels():
    samples = make('maps')
    samples[2]['gt_sem_seg']['data'][:] = 255
    compare(measure(samples), fidelity(*positions(samples)))
    nothing = measure(samples[2:3])
    assert all(math.isnan(value) for value in nothing.values())


def test_ignore_index():
    expected = measure(make('maps'))
    assert measure(make('maps', ignored=77), ignore_index=77) == expected
    with pytest.raises(UserError, match=r'ignore_index: label 77 .* is 255; set it to'):
        measure(make('maps', ignored=77))


def test_nan_is_seen():
    samples = make('vectors')
    samples[0]['student_logits'][0] = math.nan
    assert math.isnan(measure(samples)['fidelity/forward_kl'])


def test_what_is_kept_of_an_image_is_small():
    measured = FidelityMetric()
    measured.process(None, make('maps'))
    assert [type(result) for result in measured.results] == [np.ndarray] * IMAGES
    assert all(result.shape == (42,) for result in measured.results)


def test_without_a_teacher(monkeypatch):
    """Says so, once; no error, as test_evaluator is val_evaluator in many configs."""
    notes = []
    for module in (fidelity_metric, metric):
        monkeypatch.setattr(module, 'print_log', lambda text, **_: notes.append(text))
    samples = make('maps')
    for sample in samples:
        del sample['teacher_logits']
    assert measure(samples) == {}
    (note,) = notes
    assert 'no teacher' in note


def test_one_image_without_a_teacher():
    samples = make('maps')
    del samples[3]['teacher_logits']
    assert measure(samples) == {}


@pytest.mark.parametrize(
    ('options', 'what'),
    [
        (dict(threshold=0), 'threshold'),
        (dict(threshold=1.1), 'threshold'),
        (dict(bins=0), 'bins'),
        (dict(stride=0), 'stride'),
        (dict(stride=2.5), 'stride'),
    ],
)
def test_bad_arguments(options, what):
    with pytest.raises(UserError, match=rf'FidelityMetric\.{what}: '):
        FidelityMetric(**options)


@pytest.mark.parametrize('classes', [1, 5])
def test_logits_that_cannot_be_compared(classes):
    samples = make('maps', classes=classes)
    if classes > 1:
        samples[0]['teacher_logits'] = torch.zeros(6, 5, 3)
    with pytest.raises(UserError, match=r"the teacher's \("):
        measure(samples)


@pytest.mark.parametrize('scope', ['mmseg', 'mmkd', 'mmengine'])
def test_an_evaluator_builds_it(scope):
    with DefaultScope.overwrite_default_scope(scope):
        evaluator = Evaluator([dict(type='mmkd.FidelityMetric', bins=10)])
    assert evaluator.metrics[0].bins == 10


def one_of_two(rank, folder):
    """A process: takes the images that the sampler of a data loader gives it."""
    rendezvous = f'file://{folder}/rendezvous'
    torch.distributed.init_process_group('gloo', rendezvous, None, 2, rank)
    found = {}
    for kind in ('maps', 'vectors'):
        samples = make(kind)
        mine = list(DefaultSampler(samples, shuffle=False))
        measured = FidelityMetric(collect_dir=f'{folder}/{kind}')
        for index in mine:
            measured.process(None, [samples[index]])
        found[kind] = mine, measured.evaluate(IMAGES)
    torch.save(found, f'{folder}/{rank}.pth')
    torch.distributed.destroy_process_group()


@pytest.fixture(scope='module')
def in_two(tmp_path_factory):
    folder = tmp_path_factory.mktemp('two')
    processes = [
        preload().Process(target=one_of_two, args=(rank, str(folder)))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(HANGS)
        assert process.exitcode == 0
    return [torch.load(folder / f'{rank}.pth') for rank in range(2)]


@pytest.mark.parametrize('kind', ['maps', 'vectors'])
def test_two_processes_find_what_one_does(in_two, kind):
    taken = [found[kind][0] for found in in_two]
    assert taken[0] == list(range(0, IMAGES, 2))
    assert taken[1] == [*range(1, IMAGES, 2), 0]  # the first again, to fill up
    alone = measure(make(kind))
    for found in in_two:
        assert found[kind][1] == pytest.approx(alone, abs=1e-12)
