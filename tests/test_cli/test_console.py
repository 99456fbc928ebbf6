import errno
import gc
import importlib

import pytest

from mmkd.cli.console import lasting_objects, one_line_errors
from mmkd.errors import UserError


def test_a_user_error_is_one_line():
    with pytest.raises(SystemExit, match=r'^error: fix it$'), one_line_errors():
        raise UserError('fix it')


def test_a_full_disk_is_one_line():
    error = r"^error: 'a.log': full; .*--resume$"
    with pytest.raises(SystemExit, match=error), one_line_errors():
        raise OSError(errno.ENOSPC, 'full', 'a.log')


@pytest.mark.parametrize('error', [ValueError('a bug'), OSError(errno.EPIPE, 'a bug')])
def test_any_other_error_keeps_its_traceback(error):
    with pytest.raises(type(error), match='a bug'), one_line_errors():
        raise error


def test_garbage_is_collected_after_imports():
    with lasting_objects():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 10_000


def test_garbage_is_collected_after_an_import_that_fails():
    with pytest.raises(ModuleNotFoundError), lasting_objects():
        importlib.import_module('absent_module')
    assert gc.isenabled()
