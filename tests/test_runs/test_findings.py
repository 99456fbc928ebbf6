"""Decisions that hooks and doctor share."""

import re

import pytest

from mmkd.runs.findings import LossBalance, batch_size_finding, teacher_finding


@pytest.mark.parametrize(
    ('changes', 'processes', 'says'),
    [
        ({}, 4, None),
        (dict(auto_scale_lr={}), 1, None),
        (dict(auto_scale_lr=None), 1, None),
        (dict(auto_scale_lr=dict(enable=True, base_batch_size=8)), 1, None),
        (dict(train_dataloader=dict(batch_sampler={})), 1, None),
        (dict(optim_wrapper=dict(accumulative_counts=4)), 1, None),
        ({}, 1, r'for 8 images .* 1 process x batch size 2 = 2; .*enable=True'),
        ({}, 8, r'8 processes x batch size 2 = 16; '),
        (
            dict(optim_wrapper=dict(accumulative_counts=8)),
            1,
            r'x 8 accumulated batches = 16; multiply the learning rate by 2, ',
        ),
    ],
)
def test_batch_size(changes, processes, says):
    config = dict(
        auto_scale_lr=dict(enable=False, base_batch_size=8),
        train_dataloader=dict(batch_size=2),
    )
    line = batch_size_finding(config | changes, processes)
    assert line is None if says is None else re.search(says, line)


@pytest.mark.parametrize(
    ('teacher', 'student', 'images', 'says'),
    [
        (dict(mIoU=40.0), dict(mIoU=39.0), (4, 4), None),
        (dict(mIoU=40.0), dict(mIoU=40.0), (4, 4), 'mIoU of 40.00 is not above'),
        (dict(mIoU=40.0), dict(mIoU=41.0), (2, 4), 'on 2 of 4 images is .*images=-1'),
        ({'accuracy/top1': 70}, {'accuracy/top1': 71}, (0, 0), 'accuracy/top1 of 70'),
        (dict(mIoU=float('nan')), dict(mIoU=41.0), (4, 4), None),
        (dict(error=3.0), dict(error=4.0), (4, 4), None),
        ({}, dict(mIoU=41.0), (0, 0), None),
    ],
)
def test_teacher(teacher, student, images, says):
    line = teacher_finding(teacher, student, images)
    assert line is None if says is None else re.search(says, line)


def found(values, task=1.0, complete=lambda i: True):
    """Iterations at which a loss is found, and what is said, for its values."""
    balance = LossBalance()
    lines = {}
    for i, value in enumerate(values, 1):
        losses = {'distill.loss_kd': value, 'decode.loss_ce': task, 'loss': 1e9}
        losses['unlabeled.loss_kd'] = 1e9  # part of the distillation
        for line in balance.update(i, losses, ['loss_kd'] if complete(i) else []):
            lines.setdefault(i, []).append(line)
    return lines


class TestLosses:
    @pytest.mark.parametrize(
        ('value', 'says'),
        [
            (0.049, r'^distill_losses.loss_kd: 0.049 times .* below 1/20 .*; unless'),
            (20.1, r'above 20 for 50 iterations: the task .*lower distill_losses'),
        ],
    )
    def test_once_in_a_direction(self, value, says):
        ((at, (line,)),) = found([value] * 120).items()
        assert at == 50
        assert re.search(says, line)

    def test_both_directions(self):
        assert list(found([0.01] * 60 + [50.0] * 60 + [0.01] * 60)) == [50, 110]

    @pytest.mark.parametrize('value', [0.051, 19.9, 0.0, float('nan')])
    def test_not_far_or_switched_off(self, value):
        assert not found([value] * 60)

    def test_task_that_is_switched_off(self):
        assert not found([1.0] * 60, task=0.0)

    @pytest.mark.parametrize('other', [1.0, 30.0, float('nan')])
    def test_interrupted_streak(self, other):
        assert not found([0.01] * 49 + [other] + [0.01] * 49)

    def test_streaks_begin_with_the_full_weight(self):
        assert not found([0.01] * 79, complete=lambda i: i > 30)
        assert list(found([0.01] * 80, complete=lambda i: i > 30)) == [80]
