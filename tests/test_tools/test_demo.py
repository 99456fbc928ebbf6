"""The demo from end to end, on few scenes and for few iterations."""

import csv
import json
import re

import pytest
from PIL import Image

TINY = (
    *('train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'randomness.seed=3'),
    *('param_scheduler.0.end=1', 'param_scheduler.1.begin=1'),
    *('param_scheduler.1.end=2', 'train_dataloader.batch_size=2'),
    *('default_hooks.checkpoint.interval=1', 'default_hooks.logger.interval=1'),
)


@pytest.fixture(scope='module')
def demo(bench):
    """A demo whose scenes are there already, though fewer than it would draw."""
    scenes = bench.folder / 'data/street_scenes'
    size, few = ('--size', 128, 256), ('--train', 4, '--val', 4)
    bench.run('dataset_converters/street_scenes.py', '--out', scenes, *size, *few)
    settings = {'size': [128, 256], 'train': 400, 'val': 100, 'seed': 0}
    (scenes / 'scenes.json').write_text(json.dumps(settings))
    return bench.run('demo.py', '--cfg-options', *TINY)


def rows(bench):
    with (bench.folder / 'work_dirs/demo/results.csv').open(newline='') as file:
        return {row['network']: row for row in csv.DictReader(file)}


def test_table(bench, demo):
    table = rows(bench)
    folders = dict(teacher='teacher', baseline='student', distilled='distilled')
    miou = {}
    for name, folder in folders.items():
        row = table[name]
        last = bench.scalars(f'work_dirs/demo/{folder}')[-1]
        assert float(row['mIoU']) == pytest.approx(last['mIoU'], abs=0.006)
        assert float(row['seconds']) > 0
        assert row['mIoU'] in demo.output
        miou[name] = last['mIoU']
    gain = float(table['distilled']['gain'])
    assert gain == pytest.approx(miou['distilled'] - miou['baseline'], abs=0.006)
    assert table['teacher']['parameters'] == '802350'
    assert table['baseline']['parameters'] == '201594'
    assert table['distilled']['parameters'] == '201594'


def test_networks_are_trained_as_configured(bench, demo):
    folder = bench.folder / 'work_dirs/demo'
    settings = json.loads((folder / 'distilled/settings.json').read_text())
    teacher = settings['teacher']['checkpoint']
    assert teacher == 'work_dirs/demo/teacher/iter_2.pth'
    assert settings['randomness']['seed'] == 3
    assert settings['speed'] == settings['teacher']['precision'] == 'auto'


def test_panel(bench, demo):
    with Image.open(bench.folder / 'work_dirs/demo/panel.png') as panel:
        width, height = panel.size
        assert width > 1000
        assert height > 400


def test_screen(demo):
    for word in ('warn', 'mmengine', 'traceback', 'deprecat', 'iter(train)'):
        assert word not in demo.output.lower()
    for word in ('results.csv', 'panel.png', 'Cityscapes', 'Distill your own pair'):
        assert word in demo.output


def test_second_run_trains_nothing(bench, demo):
    folder = bench.folder / 'work_dirs/demo'
    attempts = sorted(folder.glob('*/*/vis_data'))
    before = rows(bench)
    again = bench.run('demo.py', '--cfg-options', *TINY)
    assert attempts == sorted(folder.glob('*/*/vis_data'))
    assert before == rows(bench)
    assert 'already exists' in again.output
    # The time of calls before counts, too.
    first, second = (
        [
            int(n)
            for n in re.findall(r'(\d+) s\b', result.output.split('Total time: ')[1])
        ]
        for result in (demo, again)
    )
    total, now = second
    assert len(first) == 1
    trained = sum(int(row['seconds']) for row in before.values())
    assert total - now == pytest.approx(trained, abs=3)


def test_one_more_command_makes_a_page_of_it(bench, demo):
    assert 'mmkd report work_dirs/demo' in demo.output
    result = bench.run('analysis/report.py', 'work_dirs/demo')
    assert 'warn' not in result.output.lower()
    text = (bench.folder / 'work_dirs/demo/report/report.html').read_text()
    titles = re.findall(r'<h2>(\w+)', text)
    shown = 'Results Classes Curves Fidelity Cost Time Pictures Settings Runs'
    assert titles == shown.split()
    assert '<img ' in text.split('<h2>Pictures')[1]
    cost = text.split('<h2>Cost')[1].split('<h2>Time')[0]
    assert '>-</td><td>-</td></tr>' not in cost  # all is known
