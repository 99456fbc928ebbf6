"""The command ``mmkd``, which runs the others."""

import sys

import pytest

from mmkd import cli


def test_unknown_command(monkeypatch):
    for name, expected in (
        ('tran', "error: unknown command 'tran'; did you mean train?"),
        ('42', "error: unknown command '42'"),
    ):
        monkeypatch.setattr(sys, 'argv', ['mmkd', name])
        with pytest.raises(SystemExit) as raised:
            cli.main()
        assert raised.value.code.splitlines()[-1] == expected
