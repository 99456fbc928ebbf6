import math
import re

import pytest
from mmengine.config import Config

from mmkd.engine.config import read_config
from mmkd.engine.recorded_config import parse_recorded, read_recorded
from mmkd.errors import UserError
from tests.test_tools.conftest import CONFIGS


@pytest.mark.parametrize(
    'path',
    [
        *CONFIGS.glob('pspnet/pspnet_r18quarter-*.py'),
        *CONFIGS.glob('mlkd/mlkd-ls_resnet32x4_*.py'),
    ],
    ids=lambda path: path.stem,
)
def test_dumped_configs(path, tmp_path):
    """Dumped configs are read back equal."""
    config = read_config(path)
    config.dump(tmp_path / 'config.py')
    found = read_recorded(tmp_path / 'config.py')
    assert found.to_dict() == Config.fromfile(tmp_path / 'config.py').to_dict()
    assert found.filename == str(tmp_path / 'config.py')


def test_every_kind_of_literal():
    values = {
        'a': [1, -2.5, (), None, True, 'x' * 200],
        'b': {'pad.shape': ({'c': {1, 2}},), 3: b'd'},
        'c': [-math.inf, math.inf],
    }
    config = Config(dict(values, kind=dict))
    assert parse_recorded(config.pretty_text) == {**values, 'kind': 'dict'}


@pytest.mark.parametrize(
    'code',
    [
        '__import__("os").mkdir({marker!r})',
        'dict(a=[open({marker!r}, "w")])',
        'dict(**{{"a": open({marker!r}, "w")}})',
        '[open({marker!r}, "w") for _ in "a"]',
        'f"{{open({marker!r}, chr(119))}}"',
        '(lambda: 0)()',
        '"a" * 10**10',
    ],
)
def test_code_is_not_executed(code, tmp_path):
    marker, path = tmp_path / 'marker', tmp_path / 'config.py'
    line = f'value = {code.format(marker=str(marker))}\n'
    path.write_text(f"model = dict(type='A')\n{line}")
    error = rf"^config: '{path}' is not a recorded config: line 2 contains code, "
    with pytest.raises(UserError, match=error) as raised:
        read_recorded(path)
    assert '\n' not in str(raised.value)
    assert not marker.exists()


@pytest.mark.parametrize(
    'text',
    [
        'import os',
        'for i in range(3): pass',
        'model = ' + '-' * 100_000 + '1',
        'model = ' + '[' * 100_000,
        'model = {[1]: 2}',
        'model = dict(type="A")\nfilename = "reserved by MMEngine"',
        'text: int = 1',
        'a = b = 1',
        '\0',
    ],
)
def test_what_is_no_config(text, tmp_path):
    (tmp_path / 'config.py').write_text(text)
    with pytest.raises(UserError, match=r"^config: '.*' is not a recorded config: "):
        read_recorded(tmp_path / 'config.py')


@pytest.mark.parametrize('content', [None, b'\xff\xfe'])
def test_what_cannot_be_read(content, tmp_path):
    if content:
        (tmp_path / 'config.py').write_bytes(content)
    with pytest.raises(UserError, match=r"^config: '.*' cannot be read: "):
        read_recorded(tmp_path / 'config.py')


@pytest.mark.parametrize(
    ('key', 'line'),
    [
        ('model', 'model = 3'),
        ('train_cfg', 'train_cfg = "long"'),
        ('train_cfg.max_iters', 'train_cfg = dict(max_iters="8")'),
        ('randomness.seed', 'randomness = dict(seed=[1])'),
        ('teacher', 'teacher = "t.pth"'),
        ('teacher.checkpoint', 'teacher = dict(checkpoint=1)'),
        ('teacher.fine.model', 'teacher = dict(fine=dict(model=1))'),
    ],
)
def test_values_of_another_type(key, line, tmp_path):
    (tmp_path / 'config.py').write_text(f'model = dict(type="A")\n{line}\n')
    with pytest.raises(UserError, match=f"^{re.escape(key)}: '.*' has a "):
        read_recorded(tmp_path / 'config.py')
