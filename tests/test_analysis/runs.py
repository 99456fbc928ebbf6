"""Folders of runs as trainings leave them, without any training."""

import json
import time

CONFIG = """
default_scope = 'mmseg'
model = {model}
{teacher}
train_cfg = dict({length})
train_dataloader = dict(batch_size=2)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.5))
randomness = dict(seed={seed})
"""
STUDENT = "dict(type='EncoderDecoder', backbone=dict(depth=18))"
PRETRAINED = "dict(type='EncoderDecoder', backbone=dict(depth=18), pretrained='a.pth')"
BIG = "dict(type='EncoderDecoder', backbone=dict(depth=101))"
ENVIRONMENT = """System environment:
    sys.platform: linux
    Python: 3.11.7 (main)
    GPU 0,1: NVIDIA H200
    PyTorch: 2.15.0
Origin:
    mmkd: 0.1.0 abc123
    command: {command}
Runtime environment:
    GPU number: 2
{log}
"""


def teacher_at(checkpoint):
    """Returns the line of a config that makes it a distillation."""
    losses = "distill_losses = dict(loss_kd=dict(type='mmkd.KDLoss', tau=4.0))"
    return f"teacher = dict(config='t.py', checkpoint='{checkpoint}')\n{losses}"


def step(iteration, loss=2.0, **more):
    """Scalars that a training logs."""
    more.setdefault('time', 0.5)
    return dict(loss=loss, iter=iteration, step=iteration, **more)


def validation(iteration, miou, classes=None, **more):
    """Scalars that a validation logs."""
    more |= {f'IoU/{name}': value for name, value in (classes or {}).items()}
    return dict(mIoU=miou, aAcc=80.0, time=0.1, data_time=0.0, step=iteration, **more)


def write_run(
    folder, *records, model=STUDENT, teacher='', seed=0, length='max_iters=4',
    attempt=0, command='train.py', log='',
):  # fmt: skip
    """Writes one attempt at a run."""
    stamp = time.strftime('%Y%m%d_%H%M%S', time.gmtime(10**9 + attempt))
    data = folder / stamp / 'vis_data'
    data.mkdir(parents=True)
    lines = (json.dumps(record) + '\n' for record in records)
    (data / 'scalars.json').write_text(''.join(lines))
    settings = dict(model=model, teacher=teacher, length=length, seed=seed)
    (data / 'config.py').write_text(CONFIG.format(**settings))
    text = ENVIRONMENT.format(command=command, log=log)
    (data.parent / f'{stamp}.log').write_text(text)
    return folder
