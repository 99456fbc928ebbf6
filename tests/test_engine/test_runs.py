"""What is read from a run's folder, without training anything."""

import fcntl
import json
import os
import time

import pytest

from mmkd.engine.run_queue import clock, shares
from mmkd.engine.runs import Run, State
from mmkd.errors import UserError

CONFIG = """
model = dict(type='EncoderDecoder')
train_cfg = dict({length})
train_dataloader = dict(batch_size=2)
"""


@pytest.fixture
def make(tmp_path):
    def make(length='max_iters=8', **options):
        config = tmp_path / 'config.py'
        config.write_text(CONFIG.format(length=length))
        return Run(str(config), tmp_path / 'run', options)

    return make


def log(run, *records, attempt='20260101_000000', seconds=60, torn=''):
    """Writes what an attempt has logged, ``seconds`` after its start."""
    path = run.work_dir / attempt / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text(''.join(json.dumps(r) + '\n' for r in records) + torn)
    end = time.mktime(time.strptime(attempt, '%Y%m%d_%H%M%S')) + seconds
    os.utime(path, (end, end))


def save(run, name):
    (run.work_dir / 'last_checkpoint').write_text(f'/moved/since/{name}')


def step(number):
    return {'lr': 0.1, 'loss': 2.0, 'time': 0.5, 'iter': number, 'step': number}


def validation(number, **metrics):
    return {**metrics, 'time': 0.1, 'data_time': 0.0, 'step': number}


def test_nothing_there_yet(make):
    run = make()
    assert run.state() == State(0, 8, 0.0, {}, False)
    assert run.state().pace is None
    assert run.checkpoint == run.work_dir / 'iter_8.pth'
    with pytest.raises(UserError, match=r'no metric mIoU or .*nothing has been valid'):
        run.result()


def test_half_way(make):
    run = make()
    log(run, step(2), step(4), validation(4, mIoU=30.0, aAcc=80.0), step(6))
    save(run, 'iter_4.pth')
    assert run.state() == State(6, 8, 60.0, {'mIoU': 30.0, 'aAcc': 80.0}, False)
    assert run.state().pace == 10.0
    assert run.checkpoint == run.work_dir / 'iter_8.pth'  # not the last one so far


def test_finished(make):
    run = make()
    log(run, step(8), validation(8, mIoU=31.0, aAcc=81.0))
    save(run, 'iter_8.pth')
    assert run.state().finished
    assert run.result() == ('mIoU', 31.0)
    assert run.result('aAcc') == ('aAcc', 81.0)
    with pytest.raises(UserError, match='no metric mAcc; there is mIoU, aAcc'):
        run.result('mAcc')


@pytest.mark.parametrize('missing', ['checkpoint', 'validation'])
def test_not_finished_without_both(make, missing):
    run = make()
    last = 4 if missing == 'validation' else 8
    log(run, step(8), validation(last, mIoU=31.0))
    save(run, 'iter_4.pth' if missing == 'checkpoint' else 'iter_8.pth')
    assert not run.state().finished


def test_attempts_add_up(make):
    """What was trained after the last checkpoint is trained again."""
    run = make()
    log(run, step(2), step(4), step(6), torn='{"lr": 0.1, "lo')
    log(run, step(5), attempt='20260101_000200', seconds=30)
    assert run.state() == State(5, 8, 90.0, {}, False)


def test_epochs(make):
    run = make('max_epochs=3')
    first = {'loss': 1.0, 'epoch': 1, 'iter': 4, 'step': 4}
    log(run, first, validation(1, **{'accuracy/top1': 50.0}), {**first, 'epoch': 2})
    assert run.state() == State(1, 3, 60.0, {'accuracy/top1': 50.0}, False)
    assert run.checkpoint == run.work_dir / 'epoch_3.pth'
    last = validation(3, **{'accuracy/top1': 60.0})
    log(run, {**first, 'epoch': 3}, last, attempt='20260101_010000')
    save(run, 'epoch_3.pth')
    assert run.state().finished
    assert run.result() == ('accuracy/top1', 60.0)


def test_length_unknown(make):
    with pytest.raises(UserError, match=r'train_cfg: .* has no max_iters'):
        make('by_epoch=False').state()


def test_one_at_a_time(make):
    run = make()
    run.work_dir.mkdir()
    with (run.work_dir / 'lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run.start() is None
    process = run.start()
    assert process is not None
    process.kill()
    process.wait()


def test_other_settings(make):
    process = make().start()
    process.kill()
    process.wait()
    make(**{'train_dataloader.batch_size': 4}).check_settings()  # nothing to lose yet
    run = make()
    save(run, 'iter_4.pth')
    run.check_settings()
    with pytest.raises(UserError, match=r'other settings \(train_dataloader\)'):
        make(**{'train_dataloader.batch_size': 4}).check_settings()


def test_reason_of_a_failure(make):
    run = make()
    assert run.last_words() == ''
    process = run.start()  # its config has no val_dataloader and much else
    assert process.wait(60) != 0
    assert 'Error' in run.last_words() or run.last_words().startswith('error')


def test_shares_of_the_cores(monkeypatch):
    monkeypatch.setattr('os.cpu_count', lambda: 8)
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    assert shares(1) == [{}]
    assert shares(2) == [{'OMP_NUM_THREADS': '4'}] * 2
    assert shares(20) == [{'OMP_NUM_THREADS': '1'}] * 20
    monkeypatch.setenv('OMP_NUM_THREADS', '3')
    assert shares(2) == [{'OMP_NUM_THREADS': '3'}] * 2


def test_shares_of_the_gpus(monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    monkeypatch.setattr('torch.cuda.device_count', lambda: 2)
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    assert [share['CUDA_VISIBLE_DEVICES'] for share in shares(3)] == ['0', '1', '0']
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '5,7')
    assert [share['CUDA_VISIBLE_DEVICES'] for share in shares(2)] == ['5', '7']


def test_clock():
    assert clock(None) == '?'
    assert clock(3725.4) == '1:02:05'
