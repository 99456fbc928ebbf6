"""Contents of a run's folder."""

import json
import math
import os
import time
import tracemalloc

import numpy as np
import pytest
from mmengine.config import Config

from mmkd.errors import UserError
from mmkd.runs.run_directory import RunDirectory, common_metric, find_runs
from tests.test_analysis.runs import BIG, step, teacher_at, validation, write_run

LENGTH = dict(max_iters=8)


@pytest.fixture
def run(tmp_path):
    """Returns a run of 8 iterations, or of another length, as it is now."""

    def run(**length):
        model = dict(type='EncoderDecoder')
        config = Config(dict(model=model, train_cfg=length or LENGTH))
        return RunDirectory(tmp_path, config)

    return run


@pytest.fixture
def log(tmp_path):
    """Writes what an attempt has logged, ``seconds`` after its start."""

    def log(*records, attempt='20260101_000000', seconds=60, torn=''):
        path = tmp_path / attempt / 'vis_data' / 'scalars.json'
        path.parent.mkdir(parents=True)
        path.write_text(''.join(json.dumps(r) + '\n' for r in records) + torn)
        end = time.mktime(time.strptime(attempt, '%Y%m%d_%H%M%S')) + seconds
        os.utime(path, (end, end))

    return log


@pytest.fixture
def save(tmp_path):
    def save(name):
        (tmp_path / 'last_checkpoint').write_text(f'/moved/since/{name}')

    return save


@pytest.fixture
def resumed(tmp_path):
    """A run that was killed after four iterations, and resumed from the second."""
    folder = tmp_path / 'kd' / 'seed_3'
    settings = dict(teacher=teacher_at('t.pth'), seed=3)
    teacher = {'teacher/mIoU': 40.0, 'teacher/IoU/road': 70.0}
    teacher['teacher.fine/mIoU'] = 30.0
    records = (
        {**teacher, 'step': 0},
        step(1),
        validation(2, 20.0, dict(road=90.0, sky=70.0)),
        step(3),
        step(4),
        validation(4, 9, dict(road=50.0, sky=10.0)),
    )
    write_run(folder, *records, **settings)
    classes = {'road': 92.5, 'traffic sign': math.nan, 'sky': 11.0}
    last = validation(4, 31.0, classes, **teacher)
    later = (step(3, loss=5.0), step(4, memory=700), last)
    write_run(folder, *later, **settings, attempt=9)
    return RunDirectory(folder)


def test_the_last_attempt_counts(resumed):
    assert list(resumed.scalars.iterations) == [1, 3, 4]
    assert list(resumed.scalars.column('loss')) == [2, 5, 2]
    assert np.isnan(resumed.scalars.column('memory')).tolist() == [True, True, False]
    assert {i: v['mIoU'] for i, v in resumed.validations.items()} == {2: 20.0, 4: 31.0}
    assert resumed.last_metrics == dict(mIoU=31.0, aAcc=80.0)
    assert resumed.validated


def test_classes_are_those_of_the_last_validation(resumed):
    assert list(resumed.class_iou) == ['road', 'traffic sign', 'sky']
    assert (resumed.class_iou['road'], resumed.class_iou['sky']) == (92.5, 11.0)
    assert math.isnan(resumed.class_iou['traffic sign'])


def test_what_it_is(resumed):
    assert (resumed.method, resumed.seed) == ('kd', 3)
    assert resumed.distills
    assert (resumed.total, resumed.unit) == (4, 'iteration')
    assert resumed.teacher_metrics == {'mIoU': 40.0, 'IoU/road': 70.0}
    assert resumed.environment['GPU 0,1'] == 'NVIDIA H200'
    assert resumed.environment['PyTorch'] == '2.15.0'


def test_medians(resumed):
    assert resumed.median('loss') == 2.0
    assert resumed.median('memory') == 700
    assert resumed.median('lr') is None


def test_epochs_and_no_classes(tmp_path):
    folder = write_run(
        tmp_path / 'teacher', step(35, epoch=1), validation(1, 20.0), model=BIG,
        length='max_epochs=2',
    )  # fmt: skip
    run = RunDirectory(folder)
    assert (run.unit, run.total, run.validated) == ('epoch', 2, False)
    assert run.method == 'teacher'
    assert run.class_iou == {}
    assert not run.distills


def test_finding(tmp_path):
    a = write_run(tmp_path / 'sweep' / 'kd' / 'seed_0', step(1))
    b = write_run(tmp_path / 'sweep' / 'alone', step(1))
    write_run(tmp_path / 'sweep' / 'tested', validation(0, 3.0))
    assert [run.path for run in find_runs(tmp_path)] == [b, a]
    assert [run.path for run in find_runs(a)] == [a]
    assert find_runs(tmp_path / 'sweep' / 'tested') == []


def test_nothing_there_yet(run, tmp_path):
    run = run()
    assert (run.done, run.total, run.seconds) == (0, 8, 0)
    assert run.last_metrics == run.validations == {}
    assert not run.finished
    assert run.checkpoint == tmp_path / 'iter_8.pth'
    assert run.last_checkpoint == ''


def test_half_way(run, log, save, tmp_path):
    log(step(2), step(4), validation(4, 30.0), step(6))
    save('iter_4.pth')
    run = run()
    assert (run.done, run.seconds, run.finished) == (6, 60, False)
    assert run.last_metrics == dict(mIoU=30.0, aAcc=80.0)
    assert run.last_checkpoint == 'iter_4.pth'
    assert run.checkpoint == tmp_path / 'iter_8.pth'


@pytest.mark.parametrize(
    ('validated', 'saved', 'finished'), [(8, 8, True), (8, 4, False), (4, 8, False)]
)
def test_finished_with_checkpoint_and_validation(
    run, log, save, validated, saved, finished
):
    log(step(8), validation(validated, 31.0))
    save(f'iter_{saved}.pth')
    assert run().finished is finished
    assert run().validated is (validated == 8)


def test_attempts_add_up(run, log):
    """Iterations after the last checkpoint are trained again."""
    log(step(2), step(4), step(6), torn='{"lr": 0.1, "lo')
    log(step(5), attempt='20260101_000200', seconds=30)
    assert (run().done, run().seconds) == (5, 90)


def test_a_run_that_is_started_anew_replaces_the_earlier_one(run, log):
    first = step(2), validation(3, 20.0), step(4), validation(6, 30.0), step(6)
    log(*first, step(8), validation(8, 40.0), attempt='20260101_000000')
    log(step(2, loss=7.0), validation(3, 10.0), attempt='20260102_000000')
    found = run()
    assert list(found.validations) == [3]
    assert found.last_metrics['mIoU'] == 10.0
    assert found.scalars.iterations.tolist() == [2]
    assert found.scalars.column('loss').tolist() == [7.0]
    log(step(4), attempt='20260103_000000')  # resumed
    assert list(run().validations) == [3]
    assert run().scalars.iterations.tolist() == [2, 4]
    log({'teacher/mIoU': 50.0, 'step': 0}, attempt='20260104_000000')
    assert not run().validations
    assert run().teacher_metrics == {'mIoU': 50.0}


def test_epochs_that_are_repeated_replace_the_earlier_ones(run, log):
    records = [step(2 * e) | dict(epoch=e) for e in (1, 2, 3)]
    log(*records, validation(1, 5.0), validation(2, 6.0), validation(3, 7.0))
    log(records[1], validation(2, 8.0), attempt='20260102_000000')
    assert list(run(max_epochs=3).validations) == [1, 2]
    assert run(max_epochs=3).last_metrics['mIoU'] == 8.0


def test_a_torn_line_costs_no_other(run, log, tmp_path):
    """Cut off in the middle, with the next attempt's first record glued to it."""
    lines = [json.dumps(step(i)) for i in range(1, 6)]
    lines[1] = lines[1][:20]
    lines[2] = lines[2][:30] + lines[2]
    lines.append(json.dumps(validation(8, 31.0)))
    log(torn='\n'.join(lines) + '\n\0\0{"lo')
    assert list(run().scalars.iterations) == [1, 4, 5]
    assert run().last_metrics == dict(mIoU=31.0, aAcc=80.0)
    assert run().done == 8


def test_long_logs_are_streamed(run, log, tmp_path):
    """Memory for 20,000 lines, 5 MB of text, is little more than the numbers."""
    more = {f'decode.loss_{i}': 1 / 3 for i in range(8)}
    log(*(step(i, **more) for i in range(1, 20_001)))
    tracemalloc.start()
    found = run()
    assert len(found.scalars.iterations) == 20_000
    assert found.median('decode.loss_3') == 1 / 3
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6  # 12 bytes for each of 240,000 numbers, and while they grow


def test_epochs(run, log, save, tmp_path):
    first = {'loss': 1.0, 'epoch': 1, 'iter': 4, 'step': 4}
    log(first, {'accuracy/top1': 50.0, 'step': 1}, {**first, 'epoch': 2})
    half = run(max_epochs=3)
    assert (half.done, half.finished) == (1, False)
    assert half.checkpoint == tmp_path / 'epoch_3.pth'
    last = {'accuracy/top1': 60.0, 'step': 3}
    log({**first, 'epoch': 3}, last, attempt='20260101_010000')
    save('epoch_3.pth')
    assert run(max_epochs=3).finished
    assert run(max_epochs=3).last_metrics == {'accuracy/top1': 60.0}


def test_length_unknown(run):
    with pytest.raises(UserError, match=r'train_cfg: .* has no max_iters'):
        _ = run(by_epoch=False).total


def test_common_metric(run, log):
    log(step(8), validation(8, 31.0, dict(road=3.0)))
    assert common_metric([run(), run()]) == 'mIoU'
    assert common_metric([run()], 'aAcc') == 'aAcc'
    with pytest.raises(UserError, match=r'have mAcc; .* they share: aAcc, mIoU$'):
        common_metric([run()], 'mAcc')
