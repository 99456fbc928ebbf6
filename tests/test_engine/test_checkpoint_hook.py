"""No kill and no full disk costs the last complete checkpoint."""

import os
import resource
import subprocess
import sys
import textwrap
from collections import deque
from pathlib import Path

import pytest
import torch
from mmengine.fileio import LocalBackend, get_file_backend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import HOOKS

from mmkd.engine.checkpoint_hook import (
    SafeCheckpointHook,
    latest_checkpoint,
    save_safely,
)
from mmkd.errors import UserError


@pytest.fixture(autouse=True)
def safe():
    save_safely()
    yield
    register_backend('local', LocalBackend, force=True, prefixes='')
    HOOKS.register_module(name='CheckpointHook', module=CheckpointHook, force=True)


def save(path, age=0):
    """A whole checkpoint, so many seconds old."""
    torch.save(dict(state_dict={}), path)
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


def note(folder, name):
    (folder / 'last_checkpoint').write_text(str(name))


def test_written_whole(tmp_path):
    path = tmp_path / 'new' / 'iter_2.pth'
    get_file_backend(str(path)).put(b'whole', str(path))
    assert path.read_bytes() == b'whole'
    assert os.listdir(path.parent) == ['iter_2.pth']


def test_killed_while_writing(tmp_path):
    """At every moment of the write there is a whole file, the old one or the new."""
    path = tmp_path / 'iter_2.pth'
    code = f"""
        import os, signal
        from pathlib import Path
        from mmkd.engine.checkpoint_hook import AtomicBackend
        def killed(descriptor):
            os.kill(os.getpid(), signal.SIGKILL)
        AtomicBackend().put(b'old', {str(path)!r})
        os.fsync = killed
        AtomicBackend().put(b'new', {str(path)!r})
    """
    done = subprocess.run([sys.executable, '-c', textwrap.dedent(code)])
    assert done.returncode == -9
    assert path.read_bytes() == b'old'


def test_disk_full(tmp_path):
    """As when a limit on the size of files is reached."""
    path = tmp_path / 'iter_2.pth'
    path.write_bytes(b'old')
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(UserError, match=r'iter_2.pth.*cannot be written: .*resume'):
            get_file_backend(str(path)).put(bytes(2000), str(path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b'old'
    assert os.listdir(tmp_path) == ['iter_2.pth']


class Run:
    """What a CheckpointHook asks of a Runner."""

    def __init__(self, folder):
        self.folder, self.work_dir = Path(folder), str(folder)
        self.message_hub = MessageHub('run')
        self.seen = []

    def save_checkpoint(self, folder, filename, *args, **kwargs):
        self.seen.append(sorted(p.name for p in self.folder.glob('*.pth')))
        (self.folder / filename).write_bytes(b'')


@pytest.mark.parametrize('keep', [1, 2])
def test_the_outdated_goes_last(tmp_path, keep):
    assert HOOKS.get('CheckpointHook') is SafeCheckpointHook
    run = Run(tmp_path)
    hook = SafeCheckpointHook(interval=1, by_epoch=False, max_keep_ckpts=keep)
    hook.out_dir, hook.keep_ckpt_ids = run.work_dir, deque()
    hook.file_backend = get_file_backend(run.work_dir)
    for step in range(1, 5):
        hook._save_checkpoint_with_step(run, step, {})
    assert [len(seen) for seen in run.seen] == [0, 1, keep, keep]
    kept = [f'iter_{step}.pth' for step in range(5 - keep, 5)]
    assert sorted(path.name for path in tmp_path.glob('*.pth')) == kept
    assert run.message_hub.get_info('keep_ckpt_ids') == list(range(5 - keep, 5))


@pytest.mark.parametrize('keys', ['mIoU', ['mIoU', 'aAcc']])
def test_the_former_best_goes_last(tmp_path, keys):
    run = Run(tmp_path)
    options = dict(interval=-1, by_epoch=False, save_best=keys)
    hook = SafeCheckpointHook(rule='greater', **options)
    run.iter, run.epoch, run.logger = 0, 0, MMLogger.get_instance('best')
    run.max_iters = 3
    hook.before_train(run)
    for run.iter, value in enumerate([3, 1, 5]):
        hook._save_best_checkpoint(run, dict(mIoU=value, aAcc=value))
    names = ['aAcc', 'mIoU'] if isinstance(keys, list) else ['mIoU']
    assert {f'best_{name}_iter_0.pth' for name in names} <= set(run.seen[-1])
    kept = sorted(path.name for path in tmp_path.glob('*.pth'))
    assert kept == [f'best_{name}_iter_2.pth' for name in names]


def test_nothing_to_resume(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(tmp_path / 'gone') is None


def test_the_named_one(tmp_path):
    save(tmp_path / 'iter_12.pth', age=50)  # of a longer run before
    save(tmp_path / 'iter_2.pth', age=20)
    last = save(tmp_path / 'iter_4.pth', age=10)
    note(tmp_path, last)
    assert latest_checkpoint(tmp_path) == last


def test_copied_files_have_any_time(tmp_path):
    last = save(tmp_path / 'iter_10.pth', age=10)
    save(tmp_path / 'iter_8.pth')
    note(tmp_path, last)
    assert latest_checkpoint(tmp_path) == last


@pytest.mark.parametrize('text', ['iter_4.pth', '', None, '/moved/since/iter_4.pth'])
def test_killed_before_it_was_named(tmp_path, text):
    save(tmp_path / 'iter_4.pth', age=10)
    last = save(tmp_path / 'iter_6.pth')
    save(tmp_path / 'best_mIoU_iter_6.pth')  # without the optimiser's state
    if text is not None:
        note(tmp_path, text)
    assert latest_checkpoint(tmp_path) == last


@pytest.mark.parametrize('damaged', ['iter_6.pth', 'iter_8.pth'])
def test_incomplete_ones_do_not_count(tmp_path, damaged):
    """Whether one is named or not."""
    last = save(tmp_path / 'iter_4.pth', age=10)
    note(tmp_path, tmp_path / 'iter_6.pth')
    whole = save(tmp_path / 'iter_9.pth').read_bytes()
    (tmp_path / 'iter_9.pth').unlink()
    (tmp_path / damaged).write_bytes(whole[: len(whole) // 2])
    assert latest_checkpoint(tmp_path) == last
