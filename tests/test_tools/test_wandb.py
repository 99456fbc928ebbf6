"""A run that Weights & Biases records, by a stand-in for its package."""

import json

from .conftest import TOOLS, python_path

WANDB = """
import json

log_file = open('wandb.jsonl', 'a', buffering=1)


def init(**options):
    assert options['mode'] == 'offline'


def log(values, commit=True):
    log_file.write(json.dumps(values, default=float) + '\\n')


def join():
    log({'joined': True})


class Config:
    def __init__(self):
        self.items = {}

    def update(self, values, allow_val_change=False):
        for key, value in values.items():
            if key in self.items and self.items[key] != value and not allow_val_change:
                raise ValueError(f'change of {key} from {self.items[key]} to {value}')
            self.items[key] = value
        log({'config': sorted(self.items)})


class Run:
    def log_code(self, name=None):
        pass


config, run = Config(), Run()
"""
RECORDED = """
_base_ = 'kd.py'
vis_backends = [
    dict(type='LocalVisBackend'),
    dict(type='WandbVisBackend', init_kwargs=dict(mode='offline')),
]
visualizer = dict(vis_backends=vis_backends)
"""


def test_offline_run(bench, kd):
    """Any second, different value of a config's key is an error for wandb."""
    (bench.folder / 'stand_in').mkdir()
    bench.write('stand_in/wandb.py', WANDB)
    config = bench.write('recorded.py', RECORDED)
    path = python_path(bench.folder / 'stand_in')
    done = bench.shell('python', TOOLS / 'train.py', config, PYTHONPATH=path)
    assert done.code == 0, done.output[-4000:]
    lines = (bench.folder / 'wandb.jsonl').read_text().splitlines()
    first, *rest = [json.loads(line) for line in lines]
    assert {'model', 'teacher', 'distill_losses'} <= set(first['config'])
    assert len([values for values in rest if 'distill.loss_kd' in values]) == 4
    assert len([values for values in rest if 'mIoU' in values]) == 2
