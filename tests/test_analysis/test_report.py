"""The page of a comparison: what it says, and that it needs no other file."""

import base64
import math
import os
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from mmkd.analysis import figures, report, statistics
from mmkd.analysis.comparison import load_comparison
from mmkd.analysis.cost import Cost
from mmkd.analysis.html_page import Picture

from .runs import BIG, STUDENT, step, teacher_at, validation, write_run

FIDELITY = {f'fidelity/{name}': 0.25 for name in ('agreement', 'std_ratio', 'ece')}


class Reader(HTMLParser):
    """The texts, tables, pictures and links of a page."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.images, self.links, self.tags = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        if tag == 'tr':
            self.rows.append([])
        if tag == 'img':
            self.images.append(attributes)
        self.links += [v for k, v in attributes.items() if k in ('href', 'src')]

    def handle_data(self, data):
        if self.tags[-1:] in (['td'], ['th']) and data.strip():
            self.rows[-1].append(data)


@pytest.fixture
def comparison(tmp_path, monkeypatch):
    cost = Cost(parameters=2_500_000, flops=3 * 10**9, size=(48, 96))
    monkeypatch.setattr(report, 'student_cost', lambda config: cost)
    weights = tmp_path / 'runs' / 'teacher' / 'seed_0' / 'iter_4.pth'
    for seed in (0, 1, 2):
        for name, miou, settings in (
            ('kd', 22 + seed**2, dict(teacher=teacher_at(weights))),
            ('alone', 20 + seed, dict(model=STUDENT)),
            ('teacher', 40, dict(model=BIG)),
        ):
            kd = name == 'kd'
            classes = dict(road=50.0 + miou, sky=20.0)
            times = dict(time_student=0.3, time_teacher=0.12, time_losses=0.03)
            losses = {'distill.loss_kd': 0.5, 'distill.weight_kd': 9.0} | times
            losses = dict(losses if kd else {}, time=0.6 if kd else 0.5, data_time=0.01)
            write_run(
                tmp_path / 'runs' / name / f'seed_{seed}',
                step(2, 3.0, **losses), validation(2, 1.0), step(4, 2.5, **losses),
                validation(4, miou, classes, **(FIDELITY if kd else {})),
                seed=seed, command=f'train.py {name}.py --seed {seed}', **settings,
            )  # fmt: skip
    return load_comparison([tmp_path / 'runs'])


def render(comparison, folder, panels=(), **kwargs):
    page = report.build_report(comparison, 'Street <scenes>', folder, panels, **kwargs)
    return page, Reader(page.render())


def test_finding(comparison, tmp_path):
    page, _ = render(comparison, tmp_path)
    # Differences 2, 2 and 4: t = (8 / 3) / (2 / 3), p = 0.0572 with two degrees.
    assert page.finding == (
        'kd reaches 23.67 ± 2.08 mIoU, 2.67 ± 1.15 above the baseline, and is '
        'above it in 3 of 3 pairs (paired t-test, p = 0.057).'
    )
    assert page.warnings == []


def test_tables(comparison, tmp_path):
    _, read = render(comparison, tmp_path)
    kd = ['kd', '3', '23.67 ± 2.08', '+2.67 ± 1.15', '3 of 3', '0.057', '0.057']
    assert [*kd, '23.67 ± 2.08'] in read.rows
    alone = ['alone (baseline)', '3', '21.00 ± 1.00', *4 * '-', '21.00 ± 1.00']
    assert alone in read.rows
    assert ['teacher (teacher)', '2.5', '3', '48x96', '-'] in read.rows
    times = ['600.0', '10.0', '300.0', '120.0', '30.0', '25.0', '1.20']
    assert ['kd', *times] in read.rows
    assert ['alone (baseline)', '500.0', '10.0', *4 * '-', '1.00'] in read.rows
    assert ['method', 'agreement', 'std ratio', 'ECE'] in read.rows
    assert ['kd', '0.250 ± 0.000', '0.250 ± 0.000', '0.250 ± 0.000'] in read.rows
    (run,) = (row for row in read.rows if row[0].endswith('kd/seed_2'))
    expected = ['kd', '2', '4 iterations', '26.00', '2001-09-09']
    assert run[1:] == [*expected, '0.1.0 abc123', 'train.py kd.py --seed 2']


def test_needs_no_other_file(comparison, tmp_path):
    panel = tmp_path / 'panel.png'
    Image.new('RGB', (300, 150)).save(panel)
    page, read = render(comparison, tmp_path, [Picture(panel, 'A panel & more.')])
    names = ['results', 'classes', 'curves', 'losses', 'panel']
    for image, name in zip(read.images, names, strict=True):
        data = image['src'].removeprefix('data:image/png;base64,')
        path = tmp_path / f'{name}.png'
        assert base64.b64decode(data) == path.read_bytes()
        with Image.open(path) as picture:
            picture.load()
            assert picture.width > 200
            assert int(image['width']) == picture.width * 96 // 150
        assert image['alt']
    assert all(link.startswith(('data:', '#')) for link in read.links)
    assert 'script' not in read.tags
    assert 'Street &lt;scenes&gt;' in page.render()


def test_every_link_of_the_menu_has_its_section(comparison, tmp_path):
    text = render(comparison, tmp_path)[0].render()
    menu = re.findall(r'href="#(\d+)">\s*(\w+)', text)
    sections = re.findall(r'<section id="(\d+)">\s*<h2>(\w+)', text)
    assert menu == sections
    assert 'Results' in dict(menu).values()


def test_one_run_without_a_baseline(comparison, tmp_path):
    few = load_comparison([tmp_path / 'runs' / 'kd' / 'seed_0'])
    page, read = render(few, tmp_path)
    assert page.finding == 'kd reaches 22.00 mIoU.'
    one_run, no_baseline = page.warnings
    assert 'seed' in one_run
    assert '--baseline' in no_baseline
    assert not any('class' in image['alt'] for image in read.images)


def test_drawn_seeds(comparison, tmp_path):
    """Runs that did not set their seed are not paired by it."""
    weights = tmp_path / 'runs/teacher/seed_0/iter_4.pth'
    for name, settings in (
        ('kd', dict(teacher=teacher_at(weights), seed=None)),
        ('alone', dict(model=STUDENT, seed=0)),
    ):
        run = tmp_path / 'drawn' / name
        write_run(run, step(4), validation(4, 20.0), **settings)
    page, _ = render(load_comparison([tmp_path / 'drawn']), tmp_path)
    _, drawn = page.warnings
    assert 'not set, and counts as 0, in runs of kd: ' in drawn


def test_no_distillation(comparison, tmp_path):
    page, _ = render(
        load_comparison([tmp_path / 'runs/alone', tmp_path / 'runs/teacher']), tmp_path
    )
    assert page.finding.startswith('2 methods, none of them a distillation')


def test_what_could_not_be_measured(comparison, tmp_path):
    for seed in (0, 1, 2):
        comparison.runs['kd'][seed].last_metrics['fidelity/agreement'] = math.nan
    _, read = render(comparison, tmp_path)
    assert ['kd', 'nan ± nan', '0.250 ± 0.000', '0.250 ± 0.000'] in read.rows


def test_a_network_of_several_methods_is_built_once(comparison, monkeypatch):
    depths = []

    def cost(config):
        depths.append(config.model.backbone.depth)
        return Cost(config.model.backbone.depth * 10**6, None, None)

    monkeypatch.setattr(report, 'student_cost', cost)
    table, _ = report.cost_table(comparison)
    assert depths == [18, 101]
    assert [row[1] for row in table.rows] == ['18', '18', '101']


@pytest.mark.parametrize(('name', 'slant'), [('kd', 0), ('kd_wider_than_a_column', 35)])
def test_names_above_the_classes(comparison, name, slant):
    comparison.runs[name] = comparison.runs.pop('kd')
    (axes,) = figures.draw_class_differences(comparison).axes
    (label,) = axes.get_xticklabels()
    assert (label.get_text(), label.get_rotation()) == (name, slant)


@pytest.mark.parametrize(
    ('value', 'digits', 'text'),
    [(0.0571, 3, '0.057'), (0.0001, 3, '< 0.001'), (12.6, 0, '13'), (None, 2, '-')],
)
def test_number(value, digits, text):
    assert statistics.format_number(value, digits) == text


def test_without_the_iou_of_each_class(tmp_path, comparison):
    for seed in (0, 1, 2):
        logs = (tmp_path / 'runs' / 'alone' / f'seed_{seed}').glob('*/*/scalars.json')
        for log in logs:
            log.write_text(log.read_text().replace('IoU/', 'no/'))
    comparison = load_comparison([tmp_path / 'runs'])
    page, read = render(comparison, tmp_path)
    (section,) = (s for s in page.sections if s.title == 'Classes')
    assert 'no IoU per class' in section.texts[0]
    assert not any('class' in image['alt'] for image in read.images)


def test_iou_of_each_class(comparison, tmp_path):
    _, read = render(comparison, tmp_path)
    assert ['IoU of', 'baseline', 'kd', 'teacher'] in read.rows
    # 50 more than the metric, of which the sample deviations are 1, 2.08 and 0.
    road = ['road', '71.00 ± 1.00', '73.67 ± 2.08', '90.00 ± 0.00']
    assert road in read.rows
    assert ['sky', *['20.00 ± 0.00'] * 3] in read.rows


def test_settings_and_origin(comparison, tmp_path):
    origin = 'This page: mmkd report runs; 2026-01-02; mmkd 0.1.0 abc.'
    page, _ = render(comparison, tmp_path, origin=origin)
    sections = {section.title: section for section in page.sections}
    (kd,) = (t for t in sections['Settings'].texts if t.startswith('kd. '))
    assert 'network: EncoderDecoder on None (depth 18)' in kd
    assert 'loss_kd: KDLoss(tau=4.0)' in kd
    assert 'optimizer: SGD(lr=0.5)' in kd
    assert origin in sections['Runs'].texts


@pytest.mark.parametrize(('teacher', 'low', 'high'), [(40.0, 19, 27), (1.0, 19, 27)])
def test_a_distant_teacher_does_not_compress_the_axes(
    comparison, monkeypatch, teacher, low, high
):
    """A teacher far above the runs is named at the edge of the axes."""
    for run in comparison.runs['teacher'].values():
        run.last_metrics['mIoU'] = teacher
        run.validations[4]['mIoU'] = teacher
    (axes,) = figures.draw_results(comparison).axes
    left, right = axes.get_xlim()
    assert low < left < 20
    assert 26 < right < high
    texts = [text.get_text() for text in axes.texts]
    assert any(f'teacher, {teacher:.2f}' in text for text in texts)
    assert 'baseline' in texts
    (axes,) = figures.draw_validations(comparison).axes
    low, high = axes.get_ylim()
    assert -1 < low < 1.5
    assert 25 < high < 30
    labels = axes.get_legend_handles_labels()[1]
    assert f'teacher, {teacher:.2f}' in labels


class TestUntrusted:
    """Whatever stands in the folders, there is a page, or an error of one line."""

    @pytest.fixture(autouse=True)
    def cheap(self, monkeypatch):
        cost = Cost(parameters=1, flops=None, size=None)
        monkeypatch.setattr(report, 'student_cost', lambda config: cost)

    def page(self, folder, out):
        comparison = load_comparison([folder])
        page, _ = render(comparison, out)
        (out / 'page.html').write_text(page.render(), encoding='utf-8')
        return comparison

    @pytest.mark.parametrize(
        'name',
        [r'$\frac{$', r'$x^$', '<b>', '_hidden', 'a\nb', b'\xff\xfe', '\x01', '%s{}'],
    )
    def test_names(self, tmp_path, name):
        """Markup in the names of folders and classes is escaped."""
        name = name if isinstance(name, str) else os.fsdecode(name)
        for method, teacher in ((name, teacher_at('t.pth')), ('alone', '')):
            classes = {name: 20.0, '$a$': 3.0, '\ud800': 1.0}
            write_run(
                tmp_path / 'runs' / method, step(4), validation(4, 20.0, classes),
                teacher=teacher,
            )  # fmt: skip
        comparison = self.page(tmp_path / 'runs', tmp_path)
        assert len(comparison.runs) == 2

    @pytest.mark.parametrize(
        'lines',
        [
            ['"text"', '[1, 2]', '3', 'null', '{}', '', '\0', '[' * 100_000],
            ['{"mIoU": "high", "step": 2}', '{"mIoU": [1], "aAcc": null, "step": 3}'],
            ['{"mIoU": 3.0, "step": "four"}', '{"mIoU": 3.0, "step": 4.5}'],
            ['{"loss": "nan", "iter": 2, "step": 2}', '{"loss": 1.0, "iter": "x"}'],
            ['{"mIoU": 1e999, "step": 2}', '{"loss": NaN, "iter": 1, "step": 1}'],
            ['{"mIoU": 1e308, "step": 2}', '{"loss": -1e308, "iter": 1, "step": 1}'],
            [f'{{"mIoU": {10**30}, "iter": {10**30}, "step": {10**30}}}'],
            ['{"IoU/road": "wide", "fidelity/ece": "low", "step": 4}'],
            ['{"mIoU": NaN, "step": 4}'],
            ['{"mIoU": Infinity, "aAcc": -Infinity, "step": 4}'],
        ],
    )
    def test_lines_of_logs(self, tmp_path, lines):
        for name, teacher in (('kd', teacher_at('t.pth')), ('alone', '')):
            more = {'fidelity/ece': 0.1} if teacher else {}
            folder = write_run(
                tmp_path / 'runs' / name, step(1), step(4),
                validation(4, 20.0, dict(road=1.0), **more), teacher=teacher,
            )  # fmt: skip
            (log,) = folder.glob('*/*/scalars.json')
            log.write_text('\n'.join([*lines, log.read_text(), *lines, '']))
        comparison = self.page(tmp_path / 'runs', tmp_path)
        assert comparison.runs.keys() == {'kd', 'alone'}

    def test_long_curves(self, tmp_path):
        """A curve of very many noisy points is more than matplotlib can fill."""
        steps = np.arange(50_000)
        values = np.random.default_rng(0).random(50_000)
        curve = figures.average(steps, values)
        assert len(curve) == figures.POINTS
        assert np.mean(list(curve.values())) == pytest.approx(values.mean())
        assert max(curve) == 49_999
        values[:100] = np.nan
        assert len(figures.average(steps, values)) == figures.POINTS - 2
        assert figures.average(steps[:3], values[-3:]) == dict(enumerate(values[-3:]))
