"""Panels of what the networks predict, by the tool and within a training."""

import csv

import numpy as np
import pytest
import torch
from mmseg.apis import inference_model, init_model
from PIL import Image

from mmkd.checkpoint import weights_only_by_default
from tests.test_tools.conftest import TOOLS
from tests.test_tools.test_bad_input import error_of
from tests.test_tools.test_distributed import free_port

TOOL = 'analysis/compare_predictions.py'
CHECKPOINT = 'work_dirs/kd/iter_4.pth'
EARLIER = 'work_dirs/kd/iter_2.pth'  # a plain student's, too: stands for the baseline's


@pytest.fixture(scope='module')
def truth(bench, kd, distilled):
    """Labels, and what each network predicts for each image, as mmseg finds it."""
    networks = {
        'teacher': ('teacher.py', 'work_dirs/teacher/iter_4.pth'),
        'baseline': ('student.py', EARLIER),
        'distilled': ('student.py', CHECKPOINT),
    }
    models = {}
    with weights_only_by_default():
        for name, files in networks.items():
            paths = (str(bench.folder / file) for file in files)
            models[name] = init_model(*paths, device='cpu')
    found = {}
    for file in sorted((bench.folder / 'data/val').glob('*.png')):
        label = np.asarray(Image.open(file.parents[1] / 'valannot' / file.name))
        results = {name: inference_model(m, str(file)) for name, m in models.items()}
        found[file.name] = dict(
            valid=label != 11,
            label=label,
            logits={n: r.seg_logits.data.double().numpy() for n, r in results.items()},
            **{n: r.pred_sem_seg.data[0].numpy() for n, r in results.items()},
        )
    return found


def share(image, first, second):
    return (image[first] == image[second])[image['valid']].mean()


def kl(image):
    p, q = (
        np.exp(image['logits'][name]) / np.exp(image['logits'][name]).sum(0)
        for name in ('teacher', 'distilled')
    )
    return (p * np.log(p / q)).sum(0)[image['valid']].mean()


def table(bench, out):
    with (bench.folder / out / 'predictions.csv').open(newline='') as file:
        return {row['image'].rpartition('/')[2]: row for row in csv.DictReader(file)}


def panels(bench, out):
    found = {file.name: file for file in (bench.folder / out / 'images').rglob('*')}
    for file in (*found.values(), bench.folder / out / 'panel.png'):
        with Image.open(file) as picture:
            assert picture.width > 2000
    return set(found)


def test_numbers(bench, kd, truth):
    """All images, with the baseline, in the data set's order."""
    arguments = ('--baseline', 'student.py', EARLIER, '--number', 9)
    result = bench.run(TOOL, kd, CHECKPOINT, '--out', 'all', *arguments)
    assert 'all/panel.png' in result.output
    found = table(bench, 'all')
    assert list(found) == [f'{number}.png' for number in range(5)]
    assert panels(bench, 'all') == set(found)
    for name, row in found.items():
        assert set(row) == {
            *('image', 'agreement', 'kl'),
            *('accuracy_teacher', 'accuracy_baseline', 'accuracy_distilled'),
        }
        image = truth[name]
        for network in ('teacher', 'baseline', 'distilled'):
            expected = share(image, network, 'label')
            assert float(row[f'accuracy_{network}']) == pytest.approx(
                expected, abs=1e-6
            )
        expected = share(image, 'teacher', 'distilled')
        assert float(row['agreement']) == pytest.approx(expected, abs=1e-6)
        assert float(row['kl']) == pytest.approx(kl(image), rel=1e-4, abs=1e-6)


def test_the_worst_are_the_worst(bench, kd, truth):
    bench.run(TOOL, kd, CHECKPOINT, '--out', 'worst', '--worst', 2)
    found = table(bench, 'worst')
    order = sorted(truth, key=lambda name: share(truth[name], 'distilled', 'label'))
    assert list(found) == sorted(order[:2])
    assert set(found) == panels(bench, 'worst')
    assert 'accuracy_baseline' not in found[order[0]]


def test_chosen_images(bench, kd, distilled):
    """Images are given by path or by name, in any order."""
    path = bench.folder / 'data/val/3.png'
    bench.run(TOOL, kd, CHECKPOINT, '--out', 'chosen', '--images', path, '1.png')
    assert list(table(bench, 'chosen')) == ['1.png', '3.png']


@pytest.mark.parametrize(
    ('arguments', 'parts'),
    [
        (['--images', '1.png', 'no.png', 'x/1.png'], ["--images: 'no.png', 'x/1.png'"]),
        (
            ['--cfg-options', 'teacher.checkpoint=no.pth'],
            ["teacher.checkpoint: 'no.pth' does not exist"],
        ),
        (
            ['--cfg-options', 'test_dataloader.dataset.data_root=nowhere'],
            ["test_dataloader.dataset.data_root: 'nowhere' does not exist"],
        ),
        (
            ['--baseline', 'student.py', 'no.pth'],
            ["checkpoint: 'no.pth' does not exist"],
        ),
        (['--out', 'kd.py'], ["--out: 'kd.py' cannot be written"]),
    ],
    ids=['images', 'teacher', 'data', 'baseline', 'out'],
)
def test_bad_input(bench, kd, distilled, arguments, parts):
    given = arguments if '--out' in arguments else ['--out', 'bad', *arguments]
    error = error_of(bench.run(TOOL, kd, CHECKPOINT, *given, code=None))
    for part in parts:
        assert part in error
    assert not (bench.folder / 'bad/panel.png').exists()


def test_a_config_without_a_teacher(bench, kd, distilled):
    result = bench.run(TOOL, 'student.py', CHECKPOINT, '--out', 'bad', code=None)
    assert "teacher: missing in 'student.py'" in error_of(result)


HOOK = """
_base_ = 'kd.py'
custom_hooks = [*_base_.get('custom_hooks', []), dict(type='mmkd.PanelHook', images=3)]
"""


def pictures(bench, work_dir):
    folder = bench.folder / 'work_dirs' / work_dir
    return {file.name: file for file in folder.glob('*/vis_data/vis_image/*')}


@pytest.mark.slow
def test_panels_of_a_training(bench, kd, distilled):
    """Beside the other hooks; the training is the same."""
    bench.write('panels.py', HOOK)
    trained = bench.run('train.py', 'panels.py')
    assert set(pictures(bench, 'panels')) == {'panel_2.png', 'panel_4.png'}
    assert trained.metrics == distilled.metrics
    first, second = (
        torch.load(bench.folder / f'work_dirs/{name}/iter_4.pth', weights_only=False)
        for name in ('kd', 'panels')
    )
    for name, value in first['state_dict'].items():
        assert torch.equal(value, second['state_dict'][name]), name


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason='for machines without a GPU')
def test_two_processes(bench, kd):
    """Only one draws, and the other does not wait for ever."""
    bench.write('both.py', HOOK)
    done = bench.shell(
        'bash', TOOLS / 'dist_train.sh', 'both.py', 2, PORT=free_port()
    )  # fmt: skip
    assert done.code == 0, done.output[-4000:]
    assert set(pictures(bench, 'both')) == {'panel_2.png', 'panel_4.png'}
