"""Validations of runs that were interrupted between a checkpoint and its validation."""

import pytest

from .small_runs import Interrupt, run, validations

ITERATIONS = dict(by_epoch=False, max_iters=12, val_interval=4)
EPOCHS = dict(by_epoch=True, max_epochs=4, val_interval=2)  # of three iterations
LOOPS = pytest.mark.parametrize('loop', [ITERATIONS, EPOCHS], ids=['iters', 'epochs'])


@pytest.fixture
def attempt(tmp_path):
    def attempt(loop, *args, **options):
        run(tmp_path, loop, Interrupt(*args), **options)
        return validations(tmp_path)

    return attempt


def saved(folder):
    return sorted(path.name for path in folder.glob('*.pth'))


@pytest.mark.parametrize(
    ('loop', 'interval', 'killed', 'expected'),
    [
        (ITERATIONS, 4, 4, [4, 8, 12]),
        (ITERATIONS, 4, 8, [8, 12]),
        (ITERATIONS, 4, 12, [12]),
        (ITERATIONS, 3, 4, [4, 8, 12]),  # the checkpoint is an earlier one
        (EPOCHS, 1, 6, [2, 4]),
        (EPOCHS, 1, 12, [4]),
    ],
)
def test_killed_in_a_validation(tmp_path, loop, interval, killed, expected):
    """The validations and the best checkpoint of an uninterrupted run."""
    kept = dict(interval=interval, max_keep_ckpts=1)
    whole, resumed = tmp_path / 'whole', tmp_path / 'resumed'
    run(whole, loop, checkpoint=kept)
    run(resumed, loop, Interrupt(kill_in_validation=killed), checkpoint=kept)
    assert validations(resumed) == validations(whole)[: -len(expected)]
    run(resumed, loop, checkpoint=kept)
    assert validations(resumed) == expected
    assert saved(resumed) == saved(whole)
    best = 'best_mIoU_iter_4.pth' if loop is ITERATIONS else 'best_mIoU_epoch_2.pth'
    assert best in saved(whole)


@pytest.mark.parametrize(
    ('loop', 'killed', 'best'),
    [
        (ITERATIONS, 6, 'best_mIoU_iter_4.pth'),
        (EPOCHS, 8, 'best_mIoU_epoch_2.pth'),
    ],
)
def test_killed_before_the_next_checkpoint(tmp_path, attempt, loop, killed, best):
    """The score of a best checkpoint is in no checkpoint yet."""
    kept = dict(interval=4 if loop is ITERATIONS else 2)
    assert len(attempt(loop, killed, checkpoint=kept)) == 1
    attempt(loop, checkpoint=kept)
    assert [name for name in saved(tmp_path) if 'best' in name] == [best]


def test_dynamic_intervals(attempt):
    """The interval is the one at the iteration that is resumed."""
    loop = dict(by_epoch=False, max_iters=12, dynamic_intervals=[(1, 8), (5, 3)])
    loop['val_interval'] = 8
    assert attempt(loop, 0, 6, checkpoint=dict(interval=3)) == []
    assert attempt(loop, checkpoint=dict(interval=3)) == [6, 9, 12]


def test_saved_by_a_signal_at_the_end(attempt):
    assert attempt(ITERATIONS, 0, 0, 12) == [4, 8]  # saved, and not validated
    assert attempt(ITERATIONS) == [12]


@LOOPS
def test_nothing_is_added_where_none_is_due(attempt, loop):
    attempt(loop, 0, 0, 7)
    first = 8 if loop is ITERATIONS else 4
    assert attempt(loop)[0] == first


def test_nothing_is_added_to_a_new_run(attempt):
    assert attempt(ITERATIONS) == [4, 8, 12]


@LOOPS
def test_a_run_that_is_over_is_validated(attempt, loop):
    attempt(loop)
    assert attempt(loop) == [12 if loop is ITERATIONS else 4]


def test_an_epoch_that_starts_again_is_not_over(attempt):
    """Repeated iterations may exceed the length of the run."""
    loop = dict(by_epoch=True, max_epochs=2)
    assert attempt(loop, 0, 0, 5) == [1]
    # Epochs have two batches now: iteration 6 of 4, within epoch 2.
    assert attempt(loop, 0, 0, 6, batch_size=3) == []
    assert attempt(loop, batch_size=3) == [2]
