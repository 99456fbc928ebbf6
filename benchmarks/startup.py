"""Time until commands have started: help, the first iteration, and a report.

python benchmarks/startup.py
python benchmarks/startup.py --images 2000 --runs 20
python benchmarks/startup.py --against ../another-checkout

Each command is a process of its own, with one thread. CPU time is user plus system
time, with that of its child processes. A training has one iteration of a small network,
on generated images in Cityscapes' layout, and a tenth as many validation images, with
the number of workers of the Cityscapes configs. The runs of a report are copies of that
training, one of a baseline and the others of distillations with five seeds each, with
the log of 80,000 iterations; a report has no pictures of predictions.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Sequence
from io import BytesIO
from itertools import product
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median

import numpy as np
from measuring import parser_of, report
from PIL import Image

from mmkd.engine.recorded_config import read_recorded

REPO = Path(__file__).resolve().parents[1]
CONFIG = """
_base_ = '{base}'
data_root = '{data}'
model = dict(
    pretrained=None,
    data_preprocessor=dict(size=(32, 32)),
    backbone=dict(stem_channels=8, base_channels=8),
    decode_head=dict(in_channels=64, channels=8),
    auxiliary_head=dict(in_channels=32, channels=8),
)
train_pipeline = _base_.train_pipeline
train_pipeline[2].scale = (64, 32)
train_pipeline[3].crop_size = (32, 32)
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (64, 32)
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
train_cfg = dict(max_iters=1, val_begin=2)
"""
BASE = REPO / 'configs/pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py'
LENGTH, LOGGED, VALIDATED = 80_000, 50, 8_000  # iterations
DISTILLED = """
teacher = dict(model={model}, checkpoint='teacher.pth')
distill_losses = dict(loss_kd=dict(type='KDLoss', tau={tau}))
"""


def write_images(root: Path, split: str, number: int) -> None:
    """Write images and labels of 64x32 pixels."""
    rng = np.random.default_rng(0)
    for kind, suffix, shape in (
        ('leftImg8bit', 'leftImg8bit.png', (32, 64, 3)),
        ('gtFine', 'gtFine_labelTrainIds.png', (32, 64)),
    ):
        content = BytesIO()
        Image.fromarray(rng.integers(0, 19, shape, dtype=np.uint8)).save(content, 'png')
        folder = root / kind / split / 'city'
        folder.mkdir(parents=True)
        for index in range(number):
            (folder / f'city_{index:06}_{suffix}').write_bytes(content.getbuffer())


def write_config(folder: Path, images: int) -> Path:
    """Write a dataset and the config of a training on it."""
    data = folder / f'data_{images}'
    write_images(data, 'train', images)
    write_images(data, 'val', max(1, images // 10))
    path = folder / f'train_{images}.py'
    path.write_text(CONFIG.format(base=BASE, data=data))
    return path


def write_runs(folder: Path, trained: Path, number: int) -> None:
    """Write runs with the config and the checkpoint of a training, and a longer log.

    Args:
        folder: Folder of the runs.
        trained: The work_dir of the training.
        number: How many runs to write.
    """
    (config,) = trained.glob('*/vis_data/config.py')
    (log,) = trained.glob('*/*.log')
    model = read_recorded(config).model.to_dict()
    length = f'\ntrain_cfg = dict(type="IterBasedTrainLoop", max_iters={LENGTH})\n'
    for index in range(number):
        method, seed = divmod(index - 1, 5) if index else (-1, 0)
        name = f'kd_{method:02}' if index else 'baseline'
        run = folder / name / f'seed_{seed}'
        data = run / config.parents[1].name / 'vis_data'
        data.mkdir(parents=True)
        text = f'{config.read_text()}{length}randomness = dict(seed={seed})\n'
        text += DISTILLED.format(model=model, tau=1 + method) if index else ''
        (data / 'config.py').write_text(text)
        (data / 'scalars.json').write_text(''.join(scalars(index)))
        shutil.copy(log, data.parent)
        shutil.copy(trained / 'iter_1.pth', run / f'iter_{LENGTH}.pth')
        (run / 'last_checkpoint').write_text(f'iter_{LENGTH}.pth')


def scalars(seed: int) -> list[str]:
    """Return the lines that a run logs, with random values."""
    rng, lines = np.random.default_rng(seed), []
    names = ['base_lr', 'lr', 'data_time', 'grad_norm', 'loss', 'decode.loss_ce']
    names += ['decode.acc_seg', 'aux.loss_ce', 'aux.acc_seg', 'time', 'memory']
    if seed:
        names += ['distill.loss_kd']
    for iteration in range(LOGGED, LENGTH + 1, LOGGED):
        record = dict(zip(names, rng.random(len(names)), strict=True))
        lines.append(json.dumps(record | dict(iter=iteration, step=iteration)) + '\n')
        if iteration % VALIDATED == 0:
            metrics = ['aAcc', 'mIoU', 'mAcc', *(f'IoU/{k}' for k in range(19))]
            record = dict(zip(metrics, 100 * rng.random(22), strict=True))
            lines.append(json.dumps(record | dict(step=iteration)) + '\n')
    return lines


def run(checkout: Path, command: Sequence[object]) -> tuple[float, float]:
    """Run a command of mmkd; return its CPU time and its wall time in seconds."""
    before, start = cpu_of_children(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, '-m', 'mmkd.cli', *map(str, command)],
        cwd=checkout,  # where Python looks first
        env={**os.environ, 'PYTHONPATH': str(checkout), 'OMP_NUM_THREADS': '1'},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.exit(f'{command}: {done.stdout[-2000:]}')
    return cpu_of_children() - before, time.perf_counter() - start


def cpu_of_children() -> float:
    """Return the CPU time of all child processes that have ended."""
    usage = getrusage(RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(
    commands: dict[str, list], checkouts: dict[str, Path], repeats: int
) -> list[dict]:
    """Return the medians of each command as rows, after a warm-up; in turns."""
    found: dict[tuple, list] = {pair: [] for pair in product(commands, checkouts)}
    for turn in range(repeats + 1):
        for (name, checkout), seconds in found.items():
            measured = run(checkouts[checkout], commands[name])
            if turn:
                seconds.append(measured)
    rows = []
    for name in commands:
        row: dict[str, object] = {'command': name}
        for number, kind in enumerate(('CPU s', 'wall s')):
            for checkout in checkouts:
                seconds = [each[number] for each in found[name, checkout]]
                row[f'{kind}{checkout}'] = median(seconds)
        rows.append(row)
    return rows


def main() -> None:
    """Run the benchmark."""
    parser = parser_of(__doc__)
    parser.add_argument('--images', type=int, default=20_000, help='for training')
    parser.add_argument('--runs', type=int, default=200, help='in the report')
    parser.add_argument('--against', type=Path, help='another checkout to measure')
    args = parser.parse_args()
    checkouts = {'': REPO}
    if args.against:
        checkouts[', other'] = args.against.resolve()
    with tempfile.TemporaryDirectory() as name:
        rows = measure(prepare(Path(name), args), checkouts, args.repeats)
    report('startup', 'Start-up', rows, args)


def prepare(folder: Path, args: Namespace) -> dict[str, list]:
    """Write the files of all commands; return the arguments of each command."""
    commands: dict[str, list] = {'mmkd --help': ['--help']}
    commands['mmkd train --help'] = ['train', '--help']
    for images in dict.fromkeys((10, args.images)):
        config, work_dir = write_config(folder, images), folder / f'work_{images}'
        train = ['train', config, '--work-dir', work_dir]
        commands[f'mmkd train, {images:,} images'] = train
    run(REPO, [*train[:-1], folder / 'trained'])
    write_runs(folder / 'runs', folder / 'trained', args.runs)
    report = ['report', folder / 'runs', '--images', 0]
    commands[f'mmkd report, {args.runs} runs'] = report
    return commands


if __name__ == '__main__':
    main()
