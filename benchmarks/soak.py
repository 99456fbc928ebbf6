"""Growth of memory, open files and time over 3,000 iterations.

python benchmarks/soak.py

Distills a tiny pair on a few generated street scenes with all parts of a real run:
workers, augmentation, logs, checkpoints and validations. Memory and open files of the
process and its workers are read every 50 iterations; the first third is a warm-up. The
exit status is 1 if memory or open files have grown by more than 2 %. CPU and elapsed
times also depend on other load of the machine. Linux only.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory

import torch
from measuring import BDD_LS, parser_of, report, silence
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmkd.cli.console import one_line_errors
from mmkd.engine.config import read_config
from mmkd.registry import MODELS

REPO = Path(__file__).parents[1]
EVERY = 50
LIMIT = 2  # percent, of memory and files
NARROW = {'backbone.base_channels': 8, 'backbone.stem_channels': 8}
NARROW |= {'decode_head.in_channels': 64, 'decode_head.channels': 8}
NARROW |= {'auxiliary_head.in_channels': 32, 'auxiliary_head.channels': 8}


class Watch(Hook):
    """Read memory and open files of this process and its children."""

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.rows: list[dict] = []

    def before_train(self, runner: Runner) -> None:
        """Start the clocks."""
        self.last = time.perf_counter(), time.process_time()

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Add a row every few iterations."""
        if not self.every_n_train_iters(runner, EVERY):
            return
        now = time.perf_counter(), time.process_time()
        spent = (b - a for a, b in zip(self.last, now, strict=True))
        ms, cpu_ms = (1000 * seconds / EVERY for seconds in spent)
        pids = [os.getpid(), *children_of(os.getpid())]
        self.rows.append(
            dict(
                iteration=runner.iter + 1,
                MiB=sum(map(resident, pids)) / 2**20,
                files=sum(map(open_files, pids)),
                cpu_ms=cpu_ms,
                ms=ms,
            )
        )
        self.last = now


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    tasks = Path(f'/proc/{pid}/task').glob('*/children')
    return [int(child) for task in tasks for child in task.read_text().split()]


def resident(pid: int) -> int:
    """Return the private memory of a process in bytes."""
    lines = Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines()
    private = [line.split() for line in lines if line.startswith('Private_')]
    return 1024 * sum(int(words[1]) for words in private)


def open_files(pid: int) -> int:
    """Return the number of open files of a process."""
    return len(list(Path(f'/proc/{pid}/fd').iterdir()))


def config_of(folder: Path, iterations: int) -> Config:
    """Return a distillation of a narrow student by a narrow, untrained teacher."""
    scenes = folder / 'scenes'
    command = [REPO / 'tools' / 'dataset_converters' / 'street_scenes.py']
    command += ['--out', scenes, '--size', '64', '128', '--train', '16', '--val', '4']
    subprocess.run([sys.executable, *map(str, command)], check=True)
    config = read_config(REPO / 'configs' / 'demo' / 'student.py')
    config.merge_from_dict({f'model.{key}': value for key, value in NARROW.items()})
    with DefaultScope.overwrite_default_scope('mmseg'):
        teacher = revert_sync_batchnorm(MODELS.build(config.model))
    checkpoint = str(folder / 'teacher.pth')
    torch.save(dict(state_dict=teacher.state_dict()), checkpoint)
    config.teacher = dict(model=config.model.to_dict(), checkpoint=checkpoint)
    config.distill_losses = dict(loss_kd=dict(type='KDLoss', **BDD_LS))
    for split in ('train', 'val', 'test'):
        config[f'{split}_dataloader'].dataset.data_root = str(scenes)
    config.merge_from_dict(
        {
            'train_cfg.max_iters': iterations,
            'train_dataloader.batch_size': 2,
            'train_cfg.val_interval': iterations // 6,
            'default_hooks.checkpoint.interval': iterations // 6,
            'default_hooks.checkpoint.max_keep_ckpts': 1,
            'work_dir': str(folder / 'work'),
            'launcher': 'none',
            'log_level': 'ERROR',
        }
    )
    return config


def main() -> None:
    """Run the benchmark."""
    parser = parser_of(__doc__)
    parser.add_argument('--iterations', type=int, default=3000)
    args = parser.parse_args()
    silence()
    from mmkd.distillation import DistillRunner

    watch = Watch()
    with TemporaryDirectory() as folder, one_line_errors():
        runner = DistillRunner.from_cfg(config_of(Path(folder), args.iterations))
        runner.register_hook(watch)
        runner.train()

    warm = watch.rows[len(watch.rows) // 3 :]
    half = len(warm) // 2
    rows = []
    kinds = ('MiB', mean), ('files', mean), ('cpu_ms', median), ('ms', median)
    for what, average in kinds:
        early = average(row[what] for row in warm[:half])
        late = average(row[what] for row in warm[half:])
        growth = 100 * (late / early - 1)
        rows.append(
            {'of a run': what, 'growth, %': growth, 'early': early, 'late': late}
        )
    report('soak', f'{args.iterations} iterations, after warm-up', rows, args)
    if max(row['growth, %'] for row in rows[:2]) > LIMIT:
        sys.exit(f'grown by more than {LIMIT} %')


if __name__ == '__main__':
    main()
