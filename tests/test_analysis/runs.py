"""Folders of runs as trainings leave them, without any training."""

import json
import time

CONFIG = """
default_scope = 'mmseg'
model = {model}
train_cfg = dict({length})
train_dataloader = dict(batch_size=2)
randomness = dict(seed={seed})
"""
STUDENT = "dict(type='EncoderDecoder', backbone=dict(depth=18), pretrained='r18.pth')"
SAME = "dict(type='EncoderDecoder', backbone=dict(depth=18))"
BIG = "dict(type='EncoderDecoder', backbone=dict(depth=101))"
TABLE = """2026/01/01 00:00:00 - mmengine - INFO - per class results:
2026/01/01 00:00:00 - mmengine - INFO - 
+---------------+-------+-------+
|     Class     |  IoU  |  Acc  |
+---------------+-------+-------+
{rows}
+---------------+-------+-------+
2026/01/01 00:00:00 - mmengine - INFO - Iter(val) [5/5]    aAcc: 80.0  mIoU: 30.0
"""
ENVIRONMENT = """System environment:
    sys.platform: linux
    Python: 3.11.7 (main)
    GPU 0,1: NVIDIA H200
    PyTorch: 2.15.0
"""


def distiller(checkpoint):
    teacher = f"teacher=dict(config='t.py', checkpoint='{checkpoint}')"
    return f"dict(type='mmkd.Distiller', student={STUDENT}, {teacher})"


def step(iteration, loss=2.0, **more):
    """What a training logs."""
    return dict(loss=loss, time=0.5, iter=iteration, step=iteration, **more)


def validation(iteration, miou, **more):
    return dict(mIoU=miou, aAcc=80.0, time=0.1, data_time=0.0, step=iteration, **more)


def table(**classes):
    return TABLE.format(
        rows='\n'.join(f'| {name} | {iou} | 50.0 |' for name, iou in classes.items())
    )


def write_run(
    folder, *records, model=SAME, seed=0, length='max_iters=4', text='', attempt=0
):
    """Writes one attempt at a run."""
    stamp = time.strftime('%Y%m%d_%H%M%S', time.gmtime(10**9 + attempt))
    data = folder / stamp / 'vis_data'
    data.mkdir(parents=True)
    lines = (json.dumps(record) + '\n' for record in records)
    (data / 'scalars.json').write_text(''.join(lines))
    config = CONFIG.format(model=model, length=length, seed=seed)
    (data / 'config.py').write_text(config)
    (data.parent / f'{stamp}.log').write_text(ENVIRONMENT + text)
    return folder
