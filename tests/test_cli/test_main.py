"""The command ``mmkd``, which runs the others."""

import argparse
import importlib
import subprocess
import sys

import pytest

from mmkd import cli
from mmkd.cli.arguments import add_run_arguments, run_config
from tests.conftest import HANGS


def test_unknown_command(monkeypatch):
    for name, expected in (
        ('tran', "error: unknown command 'tran'; did you mean train?"),
        ('42', "error: unknown command '42'"),
    ):
        monkeypatch.setattr(sys, 'argv', ['mmkd', name])
        with pytest.raises(SystemExit) as raised:
            cli.main()
        assert raised.value.code.splitlines()[-1] == expected


def test_help_imports_no_package():
    """Of those that take seconds, for any command."""
    code = """
import contextlib, importlib, io, sys
from mmkd.cli import COMMANDS
for name in COMMANDS:
    text = io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(text):
        importlib.import_module(f'mmkd.cli.{name}').main(['--help'])
    assert text.getvalue().startswith('usage: '), name
print({'matplotlib', 'mmengine', 'numpy', 'torch'} & set(sys.modules))
"""
    command = [sys.executable, '-c', code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS)
    assert done.stdout == 'set()\n', done.stderr


def test_modules_beside_the_config(tmp_path, monkeypatch):
    """They are imported from any working directory."""
    monkeypatch.setattr(sys, 'path', sys.path.copy())
    (tmp_path / 'my_student.py').write_text('model = dict()')
    (tmp_path / 'net_beside_a_config.py').write_text('NUMBER = 7')
    parser = argparse.ArgumentParser()
    add_run_arguments(parser)
    run_config(parser.parse_args([str(tmp_path / 'my_student.py')]))
    module = importlib.import_module('net_beside_a_config')
    assert module.NUMBER == 7
