"""One training at a time in a work_dir, whatever ends the one before."""

import multiprocessing
import os
import time
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel

import mmkd
from mmkd.engine.work_dir_lock import is_locked, locked
from mmkd.errors import UserError
from tests.conftest import HANGS


def hold(folder, ready):
    """Holds the lock, as does a process of a data loader, which is a fork."""
    with locked(folder):
        if os.fork() == 0:
            time.sleep(HANGS)
            os._exit(0)
        ready.send(os.getpid())
        time.sleep(HANGS)


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of tmp_path."""
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context('fork')
    process = context.Process(target=hold, args=(tmp_path, there))
    process.start()
    assert here.poll(HANGS)
    workers = Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text()
    yield process
    process.kill()
    process.join()
    os.kill(int(workers), 9)


class Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, inputs, mode):
        return dict(loss=self.layer(torch.ones(1, 1)).sum())


@pytest.fixture
def run(tmp_path):
    def run(**config):
        config = Config(config, '# any', str(tmp_path.parent / 'config.py'))
        return mmkd.Runner(
            Model(),
            str(tmp_path),
            train_dataloader=dict(dataset=[0], sampler=dict(type='DefaultSampler')),
            train_cfg=dict(by_epoch=True, max_epochs=1),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
            experiment_name=f'{tmp_path.name}_{time.monotonic_ns()}',
            cfg=config,
        )

    return run


def test_refused(tmp_path, holder):
    assert is_locked(tmp_path)
    with pytest.raises(UserError, match=rf"^work_dir: .*'{tmp_path}'.* --work-dir$"):
        locked(tmp_path).__enter__()
    assert is_locked(tmp_path)


def test_killed(tmp_path, holder):
    """The fork that lives on does not hold it."""
    holder.kill()
    holder.join()
    assert not is_locked(tmp_path)
    with locked(tmp_path):
        pass


def test_shared_within_a_process(tmp_path):
    with locked(tmp_path):
        with locked(tmp_path / '..' / tmp_path.name):
            assert not is_locked(tmp_path)
        assert seen_by_another(tmp_path)
    assert not seen_by_another(tmp_path)


def look(folder, ready):
    """Looks for as long as a process can that is stopped meanwhile."""
    os.close = lambda descriptor: (ready.send(True), time.sleep(30))
    is_locked(folder)


def test_who_looks_is_no_training(tmp_path):
    """Two processes may look at once."""
    (tmp_path / 'lock').touch()
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context('fork')
    process = context.Process(target=look, args=(tmp_path, there))
    process.start()
    assert here.poll(20)
    assert not is_locked(tmp_path)
    process.kill()
    process.join()


def seen_by_another(folder):
    with multiprocessing.get_context('fork').Pool(1) as pool:
        return pool.apply(is_locked, (folder,))


def test_a_link_is_no_other_folder(tmp_path, holder):
    link = tmp_path / 'link'
    link.symlink_to(tmp_path)
    assert is_locked(link)


def test_only_trainings_are_refused(tmp_path, run, holder):
    """The config of the one that trains stays, too."""
    (tmp_path / 'config.py').write_text('of the other')
    runner = run(of='this')
    with pytest.raises(UserError, match='another process trains'):
        runner.train()
    assert (tmp_path / 'config.py').read_text() == 'of the other'
    assert not list(tmp_path.glob('*.pth'))
    holder.kill()
    holder.join()
    runner.train()
    assert (tmp_path / 'epoch_1.pth').is_file()


def test_trainings_one_after_the_other(tmp_path, run):
    for _ in range(2):
        run().train()
    assert not seen_by_another(tmp_path)


def test_a_config_that_is_a_link_is_not_written_through(tmp_path, run):
    mine = tmp_path / 'mine.py'
    mine.write_text('mine')
    (tmp_path / 'config.py').symlink_to(mine)
    run(of='this')
    assert mine.read_text() == 'mine'
    assert 'this' in (tmp_path / 'config.py').read_text()
