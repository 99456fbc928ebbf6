"""Trainings, interrupted at any iteration and resumed, end with the same bits."""

import shutil
import signal

import pytest
import torch
from mmengine.hooks import EarlyStoppingHook, Hook
from torch.serialization import set_crc32_options
from torch.utils.data import DataLoader

from mmkd.errors import UserError

from .small_runs import DATA, Interrupt, run

ITERATIONS = dict(by_epoch=False, max_iters=14, val_interval=5)
EPOCHS = dict(by_epoch=True, max_epochs=4, val_interval=2)  # of three iterations
LOOPS = pytest.mark.parametrize('loop', [ITERATIONS, EPOCHS], ids=['iters', 'epochs'])


def end(runner):
    """Return the weight, its momentum and the best score."""
    (state,) = runner.optim_wrapper.optimizer.state.values()
    best = runner.message_hub.get_info('best_score')
    return runner.model.weight.item(), state['momentum_buffer'].item(), best


@LOOPS
@pytest.mark.parametrize('accumulative_counts', [1, 4])
@pytest.mark.parametrize('by', ['kill_after', 'signal_after'])
def test_interrupted_at_any_iteration(tmp_path, loop, accumulative_counts, by):
    options = dict(
        optim_wrapper=dict(accumulative_counts=accumulative_counts),
        checkpoint=dict(interval=5 if loop is ITERATIONS else 1),
        param_scheduler=[  # which counts the validations
            dict(type='ReduceOnPlateauLR', monitor='mIoU', rule='greater', patience=1)
        ],
    )
    whole = end(run(tmp_path / 'whole', loop, **options))
    for moment in range(1, 12):
        folder = tmp_path / str(moment)
        cut = run(folder, loop, Interrupt(**{by: moment}), **options)
        assert cut.iter < cut.max_iters
        resumed = run(folder, loop, **options)
        assert resumed.iter == resumed.max_iters
        assert end(resumed) == whole, moment


@LOOPS
def test_finished_run_says_so(tmp_path, loop, capfd):
    message = 'Nothing is left to train'
    run(tmp_path, loop, Interrupt(kill_after=4))
    run(tmp_path, loop)
    assert message not in capfd.readouterr().out
    resumed = run(tmp_path, loop)
    assert resumed.iter == resumed.max_iters
    assert message in capfd.readouterr().out


@pytest.mark.parametrize('interrupt', [{}, dict(kill_after=3), dict(signal_after=3)])
def test_signal_handlers_are_restored(tmp_path, interrupt):
    before = signal.getsignal(signal.SIGTERM)
    run(tmp_path, ITERATIONS, Interrupt(**interrupt))
    assert signal.getsignal(signal.SIGTERM) is before


@LOOPS
def test_a_signal_saves_at_the_next_step(tmp_path, loop):
    options = dict(optim_wrapper=dict(accumulative_counts=4))
    run(tmp_path, loop, Interrupt(signal_after=5), **options)
    name = 'iter_8.pth' if loop is ITERATIONS else 'epoch_2_iter_8.pth'
    assert (tmp_path / name).is_file()


@pytest.mark.parametrize(
    ('loop', 'interval', 'expected'),
    [
        (ITERATIONS, 5, ['iter_12.pth', 'iter_14.pth', 'iter_8.pth']),
        (
            EPOCHS,
            1,
            [
                'epoch_1_iter_4.pth',
                'epoch_2_iter_8.pth',
                'epoch_3_iter_12.pth',
                'epoch_4.pth',
            ],
        ),
    ],
)
def test_checkpoints_wait_for_accumulated_gradients(tmp_path, loop, interval, expected):
    options = dict(optim_wrapper=dict(accumulative_counts=4))
    run(tmp_path, loop, checkpoint=dict(interval=interval, save_best=None), **options)
    assert sorted(path.name for path in tmp_path.glob('*.pth')) == expected


def test_the_checkpoint_of_a_run_that_stops_early(tmp_path):
    """The optimizer takes no step any more."""
    stop = EarlyStoppingHook('mIoU', rule='less', patience=0, stopping_threshold=9)
    run(
        tmp_path,
        ITERATIONS,
        optim_wrapper=dict(accumulative_counts=4),
        checkpoint=dict(interval=5, save_best=None),
        custom_hooks=[stop],
    )
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_5.pth']


@LOOPS
@pytest.mark.parametrize('generator', [None, torch.Generator()])
def test_a_loader_of_pytorch_that_shuffles(tmp_path, loop, generator):
    """PyTorch's sampler has no seed."""

    def loader():
        data = [dict(x=x) for x in DATA]
        return DataLoader(data, 2, shuffle=True, generator=generator)

    whole = end(run(tmp_path / 'whole', loop, loader=loader()))
    torch.rand(3)
    again = end(run(tmp_path / 'again', loop, loader=loader()))
    assert again == whole
    cut = dict(checkpoint=dict(interval=2))
    run(tmp_path / 'cut', loop, Interrupt(kill_after=7), loader=loader(), **cut)
    assert end(run(tmp_path / 'cut', loop, loader=loader(), **cut)) == whole


@pytest.mark.parametrize('keys', ['mIoU', ['mIoU', 'other']])
def test_a_copied_work_dir_keeps_the_originals_best_checkpoint(tmp_path, keys):
    options = dict(checkpoint=dict(interval=5, save_best=keys, rule='less'))
    run(tmp_path / 'original', ITERATIONS, Interrupt(kill_after=7), **options)
    before = sorted(path.name for path in (tmp_path / 'original').glob('best_*'))
    assert before
    shutil.copytree(tmp_path / 'original', tmp_path / 'copy')
    run(tmp_path / 'copy', ITERATIONS, **options)
    after = sorted(path.name for path in (tmp_path / 'original').glob('best_*'))
    assert after == before
    assert not {path.name for path in (tmp_path / 'copy').glob('best_*')} & set(before)


@pytest.mark.parametrize('kinds', [('Adam', 'SGD'), ('SGD', 'Adam')])
def test_another_optimizer(tmp_path, kinds):
    first, second = (
        dict(optim_wrapper=dict(optimizer=dict(type=kind, lr=0.01))) for kind in kinds
    )
    kept = dict(checkpoint=dict(interval=5))
    run(tmp_path, ITERATIONS, Interrupt(kill_after=7), **first, **kept)
    with pytest.raises(UserError, match=r'^optim_wrapper: .* does not match'):
        run(tmp_path, ITERATIONS, **second, **kept)


def test_an_error_of_a_hook_on_resume(tmp_path):
    """An error of a hook is not reported as one of the optimizer."""

    class Reader(Hook):
        def after_load_checkpoint(self, runner, checkpoint):
            checkpoint['meta']['absent']

    kept = dict(checkpoint=dict(interval=5))
    run(tmp_path, ITERATIONS, Interrupt(kill_after=7), **kept)
    with pytest.raises(KeyError, match='absent'):
        run(tmp_path, ITERATIONS, Reader(), **kept)


def test_checkpoints_without_checksums(tmp_path):
    """A resume would refuse them: the first one says so, and is not kept."""
    set_crc32_options(False)
    try:
        with pytest.raises(UserError, match=r'checksums.*set_crc32_options\(False\)'):
            run(tmp_path, ITERATIONS, checkpoint=dict(interval=5))
    finally:
        set_crc32_options(True)
    assert not list(tmp_path.glob('*.pth'))


@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        (dict(message_hub=3), 'no training state'),
        (dict(message_hub=dict(runtime_info=3)), 'does not match'),
        (dict(optimizer=[1]), 'does not match'),
        (dict(param_schedulers=[3]), 'does not match'),
        (dict(meta=dict(epoch=0, iter=-5)), 'no training state'),
        (dict(meta=dict(epoch=0)), 'no training state'),
    ],
)
def test_a_state_of_another_form(tmp_path, changes, expected):
    linear = dict(type='LinearLR', by_epoch=False, end=9)
    options = dict(checkpoint=dict(interval=5), param_scheduler=[linear])
    run(tmp_path, ITERATIONS, Interrupt(kill_after=7), **options)
    path = tmp_path / 'iter_5.pth'
    torch.save(torch.load(path, weights_only=False) | changes, path)
    with pytest.raises(UserError, match=expected) as raised:
        run(tmp_path, ITERATIONS, **options)
    assert str(path) in str(raised.value)


def test_the_checkpoints_of_a_resumed_run(tmp_path):
    """Those of new best scores between the intervals included."""
    rising = dict(checkpoint=dict(interval=3, rule='less', max_keep_ckpts=9))
    loop = dict(by_epoch=False, max_iters=8, val_interval=2)
    names = []
    for folder, moments in ((tmp_path / 'whole', []), (tmp_path / 'cut', [4, 6])):
        for moment in moments:
            run(folder, loop, Interrupt(kill_in_validation=moment), **rising)
        run(folder, loop, **rising)
        names.append(sorted(path.name for path in folder.glob('*.pth')))
    assert names[0] == names[1]
