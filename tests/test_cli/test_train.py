"""Options of ``mmkd train``."""

from pathlib import Path

import pytest

from mmkd.cli.train import parse_args, read_teachers
from mmkd.errors import UserError


def teachers_of(*options):
    return read_teachers(parse_args(['student.py', *options]).teacher)


def one(config):
    return dict(config=config, checkpoint='a.pth')


def test_one_teacher(tmp_path, monkeypatch):
    """The path may contain any character."""
    monkeypatch.chdir(tmp_path)
    for name in ('t.py', 'depth=50.py'):
        Path(name).touch()
        assert teachers_of('--teacher', name, 'a.pth') == one(str(tmp_path / name))
    package = 'mmseg::a=b.py'
    assert teachers_of('--teacher', f'fine={package}', 'a.pth') == dict(
        fine=one(package)
    )


def test_several_teachers():
    fine, coarse = (
        ['--teacher', 'fine=/f.py', 'a.pth'],
        ['--teacher', 'b=/c.py', 'a.pth'],
    )
    assert teachers_of(*fine, *coarse) == dict(fine=one('/f.py'), b=one('/c.py'))
    for wrong in (['--teacher', '/c.py', 'a.pth'], fine):
        for order in ((fine, wrong), (wrong, fine)):
            with pytest.raises(UserError, match=r'^--teacher: several .* a name each'):
                teachers_of(*order[0], *order[1])
