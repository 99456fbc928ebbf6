"""Start of a training, and its obstacles."""

import multiprocessing

import pytest

from mmkd.engine.work_dir_lock import locked
from mmkd.errors import UserError
from mmkd.runs.training import Training
from tests.conftest import HANGS

CONFIG = """
model = dict(type='EncoderDecoder')
train_cfg = dict(max_iters=8)
train_dataloader = dict(batch_size=2)
"""


@pytest.fixture
def make(tmp_path):
    def make(**options):
        config = tmp_path / 'config.py'
        config.write_text(CONFIG)
        return Training(str(config), tmp_path / 'run', options)

    return make


def save(training, name):
    (training.work_dir / 'last_checkpoint').write_text(name)


def starts_nothing(training):
    return training.start() is None


def test_one_at_a_time(make):
    training = make()
    training.work_dir.mkdir()
    with locked(training.work_dir), multiprocessing.get_context('fork').Pool(1) as pool:
        assert pool.apply(starts_nothing, (training,))
    process = training.start()
    assert process is not None
    process.kill()
    process.wait()


def test_other_settings(make):
    process = make().start()
    process.kill()
    process.wait()
    make(**{'train_dataloader.batch_size': 4}).check_settings()  # nothing to lose yet
    training = make()
    save(training, 'iter_4.pth')
    training.check_settings()
    with pytest.raises(UserError, match=r'other settings \(train_dataloader\)'):
        make(**{'train_dataloader.batch_size': 4}).check_settings()


def test_reason_of_a_failure(make):
    training = make()
    assert training.failure_reason() == ''
    process = training.start()  # its config has no val_dataloader and much else
    assert process.wait(HANGS) != 0
    assert 'Error' in training.failure_reason() or training.failure_reason().startswith(
        'error'
    )
