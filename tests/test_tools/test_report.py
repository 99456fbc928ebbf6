"""Finished runs as a page."""

import pytest

REPORT = 'analysis/report.py'


@pytest.fixture(scope='module')
def page(bench, distilled):
    bench.run('train.py', 'student.py')
    runs = [f'work_dirs/{name}' for name in ('kd', 'student', 'teacher')]
    result = bench.run(REPORT, *runs, '--out', 'page', '--title', 'Tiny')
    return result, (bench.folder / 'page/report.html').read_text()


def test_numbers_are_those_of_the_logs(bench, page):
    result, text = page
    last = {
        name: bench.scalars(f'work_dirs/{name}')[-1]['mIoU']
        for name in ('kd', 'student', 'teacher')
    }
    for name, role in (('student', 'the student alone'), ('teacher', 'the teacher')):
        assert f'<td>{name} ({role})</td><td>1</td><td>{last[name]:.2f}</td>' in text
    assert f'<td>{last["kd"] - last["student"]:+.2f}</td>' in text
    assert f'kd reaches {last["kd"]:.2f} mIoU' in result.output
    assert '<h1>Tiny</h1>' in text


def test_costs(bench, page):
    rows = page[1].split('<h2>Cost</h2>')[1].split('</table>')[0].split('<tr>')
    (kd,) = (row for row in rows if '<td>kd</td>' in row)
    _, parameters, flops, size, pace, memory = kd.split('</td>')[:6]
    assert size.endswith('64x64')
    assert 0 < float(parameters.split('>')[1]) < 1
    assert 0 < float(flops.split('>')[1]) < 1
    assert int(pace.split('>')[1]) > 0
    assert 200 < int(memory.split('>')[1]) < 20_000  # MiB


def test_figures(bench, page):
    for name in ('results', 'classes', 'curves', 'losses'):
        picture = (bench.folder / f'page/{name}.png').read_bytes()
        assert picture.startswith(b'\x89PNG')


def test_bad_folder(bench):
    result = bench.run(REPORT, 'work_dirs/absent', code=1)
    assert result.output.strip() == "error: 'work_dirs/absent' is no folder"
