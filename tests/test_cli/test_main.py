"""The command ``mmkd``, which runs the others."""

import argparse
import importlib
import sys

import pytest

from mmkd import cli
from mmkd.cli.arguments import add_run_arguments, run_config


def test_unknown_command(monkeypatch):
    for name, expected in (
        ('tran', "error: unknown command 'tran'; did you mean train?"),
        ('42', "error: unknown command '42'"),
    ):
        monkeypatch.setattr(sys, 'argv', ['mmkd', name])
        with pytest.raises(SystemExit) as raised:
            cli.main()
        assert raised.value.code.splitlines()[-1] == expected


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
