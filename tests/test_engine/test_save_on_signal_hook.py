import os
import signal
from types import SimpleNamespace

import pytest
from mmengine.hooks import CheckpointHook
from mmengine.logging import MMLogger

from mmkd.engine.hooks import SaveOnSignalHook

EACH = pytest.mark.parametrize('number', SaveOnSignalHook.signals)


class Recorder(CheckpointHook):
    """Keeps what it should save."""

    saved = None

    def _save_checkpoint_with_step(self, runner, step, meta):
        self.saved = step, meta


@pytest.fixture
def runner():
    """One that is within iteration 7, from 0, of epoch 2."""
    return SimpleNamespace(
        iter=7,
        epoch=2,
        hooks=[Recorder(by_epoch=False)],
        optim_wrapper=SimpleNamespace(should_update=lambda: True),
        logger=MMLogger.get_instance('test_save_on_signal'),
    )


@pytest.fixture
def hook(runner):
    before = {number: signal.getsignal(number) for number in SaveOnSignalHook.signals}
    hook = SaveOnSignalHook()
    hook.before_train(runner)
    yield hook
    hook.restore()
    after = {number: signal.getsignal(number) for number in SaveOnSignalHook.signals}
    assert after == before  # the signals are given back


def test_nothing_without_a_signal(hook, runner):
    hook.after_train_iter(runner, 0)
    assert runner.hooks[0].saved is None


@EACH
def test_saves_and_leaves(hook, runner, number):
    os.kill(os.getpid(), number)
    with pytest.raises(SystemExit) as left:
        hook.after_train_iter(runner, 0)
    assert left.value.code == 128 + number
    assert runner.hooks[0].saved == (8, {'epoch': 2, 'iter': 8})


def test_second_ctrl_c_exits_at_once(hook, capfd):
    os.kill(os.getpid(), signal.SIGINT)
    assert 'press Ctrl-C again' in capfd.readouterr().err
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_signals_of_terminal_and_launcher(hook, runner, monkeypatch):
    monkeypatch.setenv('TORCHELASTIC_RUN_ID', 'none')
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(SystemExit):
        hook.after_train_iter(runner, 0)


def test_ctrl_c_without_a_reader_of_the_output(hook, runner):
    """It also ends ``tee``, which reads the output."""
    reader, writer = os.pipe()
    os.close(reader)
    before = os.dup(2)
    os.dup2(writer, 2)
    try:
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        os.dup2(before, 2)
        for number in (before, writer):
            os.close(number)
    with pytest.raises(SystemExit):
        hook.after_train_iter(runner, 0)


def test_waits_for_accumulated_gradients(hook, runner):
    runner.optim_wrapper.should_update = lambda: False
    os.kill(os.getpid(), signal.SIGTERM)
    hook.after_train_iter(runner, 0)
    assert runner.hooks[0].saved is None
    runner.optim_wrapper.should_update = lambda: True
    with pytest.raises(SystemExit):
        hook.after_train_iter(runner, 0)
    assert runner.hooks[0].saved is not None


def test_does_not_overwrite_an_epochs_checkpoint(hook, runner):
    runner.hooks = [Recorder(by_epoch=True)]
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(SystemExit):
        hook.after_train_iter(runner, 0)
    step, meta = runner.hooks[0].saved
    assert step == '2_iter_8'
    assert meta == {'epoch': 2, 'iter': 8}


def test_leaves_where_nothing_is_saved(hook, runner):
    runner.hooks = []
    os.kill(os.getpid(), signal.SIGUSR1)
    with pytest.raises(SystemExit):
        hook.after_train_iter(runner, 0)
