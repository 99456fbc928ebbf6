"""Settings that differ between a checkpoint and the config that resumes it."""

import re

import pytest

from mmkd.engine.resumed_settings import LIMIT, changed_settings

CONFIG = """
model = dict(type='A', sizes=[1, 2])
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1), accumulative_counts=1)
param_scheduler = [dict(type='PolyLR', end=4)]
randomness = dict(seed=0)
work_dir = 'here'
"""


@pytest.mark.parametrize(
    ('old', 'new', 'expected'),
    [
        ('lr=0.1', 'lr=0.2', 'optim_wrapper.optimizer.lr: 0.1 in .*checkpoint.s is'),
        ('lr=0.1', '', 'optim_wrapper.optimizer.lr: 0.1 in .*, nothing in the config'),
        ('seed=0', 'seed=1', 'randomness.seed: 0 .*, 1 .*checkpoint.s is'),
        ('end=4', 'end=5', 'param_scheduler.0.end: 4 .*checkpoint.s is'),
        ("'PolyLR'", "'StepLR'", r'param_scheduler.0.type: .*config.s is'),
        ("'SGD'", "'Adam'", r'optim_wrapper.optimizer.type: .*config.s is'),
        (
            'accumulative_counts=1',
            'accumulative_counts=1, paramwise_cfg=dict(norm_decay_mult=0.0)',
            'optim_wrapper.paramwise_cfg.norm_decay_mult: .*checkpoint.s is',
        ),
        ('counts=1', 'counts=2', r'optim_wrapper.accumulative_counts: .*config.s is'),
        ('[1, 2]', '[1, 3]', r'model.sizes: \[1, 2\] .*\[1, 3\] .*config.s is'),
        ("type='A'", "type='A', extra=True", 'model.extra: nothing in .*, True in'),
    ],
)
def test_a_changed_setting(old, new, expected):
    (line,) = changed_settings(CONFIG, CONFIG.replace(old, new))
    assert re.match(expected, line)


def test_a_setting_of_one_of_several_optimizers():
    texts = [f'optim_wrapper = dict(head=dict(optimizer=dict(lr={x})))' for x in '12']
    (line,) = changed_settings(*texts)
    assert line.startswith('optim_wrapper.head.optimizer.lr: 1 in the checkpoint, 2 in')
    assert line.endswith("the checkpoint's is used")


@pytest.mark.parametrize('swap', [False, True])
def test_a_scheduler_that_one_of_both_has(swap):
    """A checkpoint's scheduler continues in the config's, if there is one."""
    more = CONFIG.replace('end=4)', "end=4), dict(type='StepLR', begin=4)")
    configs = (more, CONFIG) if swap else (CONFIG, more)
    lines = changed_settings(*configs)
    keys = ['param_scheduler.1.type', 'param_scheduler.1.begin']
    assert [line.split(':')[0] for line in lines] == keys
    assert all(line.endswith("the config's is used") for line in lines)


def test_the_same_settings():
    moved = CONFIG.replace("'here'", "'there'") + "resume = True\nlauncher = 'pytorch'"
    assert changed_settings(CONFIG, moved) == []


def test_many_changes():
    configs = (''.join(f'key_{i} = {n}\n' for i in range(LIMIT + 5)) for n in (1, 2))
    lines = changed_settings(*configs)
    assert len(lines) == LIMIT + 1
    assert lines[-1] == 'and 5 more'


@pytest.mark.parametrize('text', ['model = open(1)', 'model = {[]: 1}', 5])
def test_what_cannot_be_compared(text):
    (line,) = changed_settings(text, CONFIG)
    assert 'cannot be compared' in line
