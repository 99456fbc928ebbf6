"""No kill and no full disk costs the last complete checkpoint."""

import os
import re
import resource
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub, MMLogger
from mmengine.model import BaseModel

import mmkd
from mmkd.checkpoint import read_checkpoint
from mmkd.engine import runner as runner_module
from mmkd.engine.atomic_file import write_atomically
from mmkd.engine.checkpoint_hook import SafeCheckpointHook, latest_checkpoint
from mmkd.errors import UserError
from mmkd.runs.run_directory import RunDirectory


def save(path, age=0):
    """A whole checkpoint, so many seconds old."""
    torch.save(dict(state_dict={}), path)
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


def note(folder, name):
    (folder / 'last_checkpoint').write_text(str(name))


def test_written_whole(tmp_path):
    path = tmp_path / 'new' / 'iter_2.pth'
    with write_atomically(path) as new:
        new.write_bytes(b'whole')
        assert not path.exists()
    assert path.read_bytes() == b'whole'
    assert os.listdir(path.parent) == ['iter_2.pth']


def test_killed_while_writing(tmp_path):
    """Either the old or the new file is complete at every moment."""
    path = tmp_path / 'iter_2.pth'
    code = f"""
        import os, signal
        from pathlib import Path
        from mmkd.engine.atomic_file import write_atomically
        def killed(descriptor):
            os.kill(os.getpid(), signal.SIGKILL)
        for content in (b'old', b'new'):
            with write_atomically(Path({str(path)!r})) as file:
                file.write_bytes(content)
                if content == b'new':
                    os.fsync = killed
    """
    done = subprocess.run([sys.executable, '-c', textwrap.dedent(code)])
    assert done.returncode == -9
    assert path.read_bytes() == b'old'


@pytest.fixture
def runner(tmp_path):
    class Model(BaseModel):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(100, 100)

        def forward(self, *args, **kwargs):
            pass

    return mmkd.Runner(
        Model(),
        str(tmp_path / 'runs'),
        train_dataloader=dict(dataset=[0], sampler=dict(type='DefaultSampler')),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        experiment_name=f'{tmp_path.name}_checkpoints',
    )


@pytest.fixture
def full_disk():
    """Fail like a write beyond the limit on file sizes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def save_by(runner, folder):
    runner.save_checkpoint(
        str(folder), 'iter_2.pth', save_optimizer=False, save_param_scheduler=False
    )


def test_saved_by_a_runner(tmp_path, runner):
    save_by(runner, tmp_path / 'new')
    assert os.listdir(tmp_path / 'new') == ['iter_2.pth']
    state = torch.load(tmp_path / 'new/iter_2.pth', weights_only=False)['state_dict']
    assert torch.equal(state['layer.weight'], runner.model.layer.weight)


def test_links_are_not_written_through(tmp_path):
    """Neither the file's, nor one in the temporary file's place."""
    outside = tmp_path / 'outside'
    outside.write_bytes(b'mine')
    path = tmp_path / 'iter_2.pth'
    for link in (path, tmp_path / '.iter_2.pth.new'):
        link.symlink_to(outside)
    with write_atomically(path) as new:
        new.write_bytes(b'whole')
    assert outside.read_bytes() == b'mine'
    assert path.read_bytes() == b'whole'
    assert not path.is_symlink()


def test_disk_full(tmp_path, runner, full_disk):
    folder = tmp_path / 'saved'
    folder.mkdir()
    (folder / 'iter_2.pth').write_bytes(b'old')
    with pytest.raises(UserError, match=r'iter_2.pth.*cannot be written: .*resume'):
        save_by(runner, folder)
    assert (folder / 'iter_2.pth').read_bytes() == b'old'
    assert os.listdir(folder) == ['iter_2.pth']


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt, SystemExit])
def test_no_partial_file_of_an_error(tmp_path, error):
    path = tmp_path / 'iter_2.pth'
    path.write_bytes(b'old')
    new = path.with_name('.iter_2.pth.new')
    with pytest.raises(error), write_atomically(path):
        raise error(new.write_bytes(b'half'))
    assert path.read_bytes() == b'old'
    assert os.listdir(tmp_path) == ['iter_2.pth']


@pytest.mark.parametrize(
    ('value', 'entry'),
    [
        (dict(places=['a', Path('b')]), 'message_hub.runtime_info.mine.places.1'),
        (Path('a'), 'message_hub.runtime_info.mine'),
        ({Path('a'): 1}, 'message_hub.runtime_info.mine'),
        (print, 'message_hub.runtime_info.mine'),
    ],
)
def test_what_a_resume_would_refuse(tmp_path, runner, value, entry):
    """An entry that would be refused is named at the first checkpoint."""
    runner.message_hub.update_info('mine', value)
    with pytest.raises(UserError, match=f'^{re.escape(entry)}: a .* refused on resume'):
        save_by(runner, tmp_path / 'saved')
    assert os.listdir(tmp_path / 'saved') == []
    runner.message_hub.update_info('mine', [dict(a=(1, 'b', None, 2.5, np.ones(2)))])
    save_by(runner, tmp_path / 'saved')
    read_checkpoint(str(tmp_path / 'saved' / 'iter_2.pth'), 'load_from')


def test_only_the_first_checkpoint_is_read(tmp_path, runner, monkeypatch):
    read = []
    monkeypatch.setattr(runner_module, 'check_saved', read.append)
    for folder in ('a', 'b'):
        save_by(runner, tmp_path / folder)
    assert read == [tmp_path / 'a' / '.iter_2.pth.new']


def test_partial_files_of_a_kill_are_removed(tmp_path):
    (tmp_path / '.iter_2.pth.new').touch()
    run = Run(tmp_path)
    SafeCheckpointHook(interval=1, by_epoch=False).before_train(run)
    assert not list(tmp_path.iterdir())


class Run:
    """The part of a Runner that a CheckpointHook uses."""

    def __init__(self, folder):
        self.folder, self.work_dir = Path(folder), str(folder)
        self.message_hub = MessageHub('run')
        self.logger = MMLogger.get_instance('run')
        self.optim_wrapper = SimpleNamespace(should_update=lambda: True)
        self.seen = []

    def save_checkpoint(self, folder, filename, *args, **kwargs):
        self.seen.append(sorted(p.name for p in self.folder.glob('*.pth')))
        (self.folder / filename).write_bytes(b'')


def hook_of(run, **options):
    hook = SafeCheckpointHook(interval=1, by_epoch=False, **options)
    run.iter, run.epoch, run.max_iters = 0, 0, 3
    hook.before_train(run)
    return hook


def test_note_is_a_name(tmp_path):
    """``last_checkpoint`` contains no folder; a link is replaced."""
    folder, outside = tmp_path / 'run', tmp_path / 'outside'
    folder.mkdir()
    outside.write_text('mine')
    (folder / 'last_checkpoint').symlink_to(outside)
    run = Run(folder)
    hook_of(run)._save_checkpoint_with_step(run, 2, {})
    assert outside.read_text() == 'mine'
    assert (folder / 'last_checkpoint').read_text() == 'iter_2.pth'
    assert not (folder / 'last_checkpoint').is_symlink()


def test_note_is_replaced_at_once(tmp_path, monkeypatch):
    run = Run(tmp_path)
    hook = hook_of(run)
    hook._save_checkpoint_with_step(run, 1, {})
    monkeypatch.setattr(os, 'fsync', lambda _: 1 / 0)  # ended while writing
    with pytest.raises(ZeroDivisionError):
        hook._save_checkpoint_with_step(run, 2, {})
    assert (tmp_path / 'last_checkpoint').read_text() == 'iter_1.pth'


@pytest.mark.parametrize('keep', [1, 2])
def test_the_outdated_goes_last(tmp_path, keep):
    run = Run(tmp_path)
    hook = hook_of(run, max_keep_ckpts=keep)
    for step in range(1, 5):
        hook._save_checkpoint_with_step(run, step, {})
    assert [len(seen) for seen in run.seen] == [0, 1, keep, keep]
    kept = [f'iter_{step}.pth' for step in range(5 - keep, 5)]
    assert sorted(path.name for path in tmp_path.glob('*.pth')) == kept
    assert run.message_hub.get_info('keep_ckpt_ids') == list(range(5 - keep, 5))


@pytest.mark.parametrize('keys', ['mIoU', ['mIoU', 'aAcc']])
def test_the_former_best_goes_last(tmp_path, keys):
    run = Run(tmp_path)
    hook = hook_of(run, save_best=keys, rule='greater')
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


@pytest.mark.parametrize('whole', [True, False])
def test_a_copy_resumes_from_its_own(tmp_path, whole):
    """A copy never resumes from the original, even without checkpoints."""
    folders = [tmp_path / name for name in ('original', 'copy')]
    for folder in folders[: 1 + whole]:
        folder.mkdir()
        save(folder / 'iter_4.pth')
    folders[1].mkdir(exist_ok=True)
    note(folders[1], folders[0] / 'iter_4.pth')  # as MMEngine writes it
    expected = folders[1] / 'iter_4.pth' if whole else None
    assert latest_checkpoint(folders[1]) == expected


def test_in_another_folder(tmp_path):
    """Checkpoints are in out_dir, in a folder with the work_dir's name."""
    last = tmp_path / 'out/run/iter_4.pth'
    last.parent.mkdir(parents=True)
    save(last)
    (tmp_path / 'run').mkdir()
    note(tmp_path / 'run', last.name)
    assert latest_checkpoint(tmp_path / 'run', tmp_path / 'out') == last
    assert latest_checkpoint(tmp_path / 'run') is None


def test_in_a_remote_folder(tmp_path):
    """Resumed from there, or an error: never started from scratch."""
    remote = 's3://bucket/out'
    assert latest_checkpoint(tmp_path / 'run', remote) is None
    (tmp_path / 'run').mkdir()
    note(tmp_path / 'run', f'{remote}/run/iter_4.pth')  # as MMEngine writes it
    assert latest_checkpoint(tmp_path / 'run', remote) == f'{remote}/run/iter_4.pth'


@pytest.mark.parametrize(
    'text', [b'\xff\xfe', b'x' * 5000, b'a/' * 5000, b'iter_4.pth\0', b'..', b'a\nb']
)
def test_a_note_that_is_no_file_name(tmp_path, text):
    last = save(tmp_path / 'iter_2.pth')
    (tmp_path / 'last_checkpoint').write_bytes(text)
    assert latest_checkpoint(tmp_path) == last
    assert RunDirectory(tmp_path).last_checkpoint == ''


def test_copied_files_have_any_time(tmp_path):
    last = save(tmp_path / 'iter_10.pth', age=10)
    save(tmp_path / 'iter_8.pth')
    note(tmp_path, last)
    assert latest_checkpoint(tmp_path) == last


@pytest.mark.parametrize('text', ['iter_4.pth', '', None, '/moved/since/iter_4.pth'])
def test_killed_before_it_was_named(tmp_path, text):
    save(tmp_path / 'iter_4.pth', age=10)
    last = save(tmp_path / 'iter_6.pth')
    save(tmp_path / 'best_mIoU_iter_6.pth')  # without the optimizer's state
    if text is not None:
        note(tmp_path, text)
    assert latest_checkpoint(tmp_path) == last


@pytest.mark.parametrize('damaged', ['iter_6.pth', 'iter_8.pth'])
def test_incomplete_ones_do_not_count(tmp_path, damaged):
    """Named or not."""
    last = save(tmp_path / 'iter_4.pth', age=10)
    note(tmp_path, tmp_path / 'iter_6.pth')
    whole = save(tmp_path / 'iter_9.pth').read_bytes()
    (tmp_path / 'iter_9.pth').unlink()
    (tmp_path / damaged).write_bytes(whole[: len(whole) // 2])
    assert latest_checkpoint(tmp_path) == last
