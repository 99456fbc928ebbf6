"""Finished runs as a page."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

REPORT = 'analysis/report.py'
RUNS = ['reported/kd', 'reported/student', 'work_dirs/teacher']


@pytest.fixture(scope='module')
def page(bench, kd):
    for name in ('kd', 'student'):
        bench.run('train.py', f'{name}.py', '--work-dir', f'reported/{name}')
    result = bench.run(REPORT, *RUNS, '--out', 'page', '--title', 'Tiny')
    return result, (bench.folder / 'page/report.html').read_text()


def test_numbers_are_those_of_the_logs(bench, page):
    result, text = page
    last = {Path(run).name: bench.scalars(run)[-1]['mIoU'] for run in RUNS}
    for name, role in (('student', 'baseline'), ('teacher', 'teacher')):
        assert f'<td>{name} ({role})</td><td>1</td><td>{last[name]:.2f}</td>' in text
    assert f'<td>{last["kd"] - last["student"]:+.2f}</td>' in text
    assert f'kd reaches {last["kd"]:.2f} mIoU' in result.output
    assert '<h1>Tiny</h1>' in text


def test_costs(bench, page):
    rows = page[1].split('<h2>Cost</h2>')[1].split('</table>')[0].split('<tr>')
    (kd,) = (row for row in rows if '<td>kd</td>' in row)
    _, parameters, flops, size, memory = kd.split('</td>')[:5]
    assert size.endswith('64x64')
    assert 0 < float(parameters.split('>')[1]) < 1
    assert 0 < float(flops.split('>')[1]) < 1
    assert 200 < int(memory.split('>')[1]) < 20_000  # MiB


def test_times(bench, page):
    """The parts of an iteration; the baseline logs only the whole."""
    rows = page[1].split('<h2>Time</h2>')[1].split('</table>')[0].split('<tr>')
    (kd,) = (row for row in rows if '<td>kd</td>' in row)
    cells = [cell.split('>')[-1] for cell in kd.split('</td>')[1:8]]
    whole, *parts, share, _ = map(float, cells)
    assert min(parts) >= 0
    assert sum(parts) < 1.05 * whole  # of medians
    assert share == pytest.approx(100 * sum(parts[-2:]) / whole, abs=0.2)
    (student,) = (row for row in rows if '<td>student (baseline)</td>' in row)
    assert student.count('<td>-</td>') == 4


def test_figures(bench, page):
    for name in ('results', 'classes', 'curves', 'losses'):
        picture = (bench.folder / f'page/{name}.png').read_bytes()
        assert picture.startswith(b'\x89PNG')


def test_pictures(bench, page):
    assert 'pictures_kd.png' in page[1]
    with Image.open(bench.folder / 'page/pictures_kd.png') as panel:
        # A row for each of three images of 64x96, eight tiles wide.
        assert panel.width > 8 * panel.height / 3


def test_what_cannot_be_drawn_is_said(bench, distilled):
    shutil.copytree(bench.folder / 'work_dirs/kd', bench.folder / 'moved')
    (bench.folder / 'moved/iter_4.pth').unlink()
    bench.run(REPORT, 'moved')
    text = (bench.folder / 'moved/report/report.html').read_text()
    assert 'No picture of moved: checkpoint: ' in text
    assert 'moved/iter_4.pth' in text
    bench.run(REPORT, 'moved', '--images', 0)
    text = (bench.folder / 'moved/report/report.html').read_text()
    assert 'No picture' not in text


def test_bad_folder(bench):
    result = bench.run(REPORT, 'work_dirs/absent', code=1)
    assert (
        result.output.strip()
        == "error: 'work_dirs/absent' is not a folder; give the work_dir of a run"
    )
