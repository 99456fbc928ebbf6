"""Distill a small network on generated street scenes and compare it with the baseline.

In a checkout, ``make demo`` runs this command.
"""

import argparse
import csv
import subprocess
import sys
import time
from pathlib import Path

from .arguments import add_config_options

DATA = Path('data/street_scenes')
SCENES = ['--size', '128', '256', '--train', '400', '--val', '100']
# Config of each network under configs/demo.
NETWORKS = dict(teacher='teacher', baseline='student', distilled='distilled')
# Number of iterations: more than in the configs, which are compared over five seeds.
LENGTHS = dict(teacher=900, baseline=500, distilled=500)
PICTURES = 4  # number of evenly spaced validation images
NEXT_STEPS = """
Next steps
  a page of these results      mmkd report {work_dir}
  your own networks and data   README.md, "Distill your own pair"
  Cityscapes, other pairs      docs/recommended_pairs.md
  several seeds                configs/demo/README.md, with mmkd sweep
"""


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/demo'))
    add_config_options(parser)
    return parser.parse_args(argv)


def draw_scenes() -> None:
    """Generate the street scenes, unless they exist."""
    from mmkd.runs.training import TRAIN

    tool = TRAIN.with_name('dataset_converters') / 'street_scenes.py'
    command = [sys.executable, str(tool), '--out', str(DATA), *SCENES]
    if subprocess.run(command).returncode:
        sys.exit(1)


def trainings_of(work_dir: Path, options: dict) -> dict:
    """Return the training of each network."""
    from mmkd.engine.config import CONFIGS
    from mmkd.runs.training import Training

    trainings: dict[str, Training] = {}
    for name, config in NETWORKS.items():
        length = LENGTHS[name]
        own = {
            'randomness.seed': 0,
            'speed': 'auto',
            'train_cfg.max_iters': length,
            'train_cfg.val_interval': length // 5,
            'param_scheduler.1.end': length,
            **options,
        }
        if name == 'distilled':
            own['teacher.checkpoint'] = str(trainings['teacher'].directory.checkpoint)
            own.setdefault('teacher.precision', 'auto')
        path = str(CONFIGS / 'demo' / f'{config}.py')
        trainings[name] = Training(path, work_dir / config, own, name)
    return trainings


def train(trainings: dict) -> dict:
    """Train the networks, resuming interrupted trainings; return their folders."""
    from mmkd.runs.run_queue import RunQueue

    if RunQueue(list(trainings.values())).execute():
        sys.exit(1)
    return {name: training.directory for name, training in trainings.items()}


def load_networks(runs: dict) -> dict:
    """Load the trained networks."""
    from mmengine.device import get_device

    from mmkd.deployment.network import load_network

    return {
        name: load_network(run.config, str(run.checkpoint))[0].to(get_device())
        for name, run in runs.items()
    }


def write_panel(runs: dict, networks: dict, path: Path) -> None:
    """Draw the predictions of the networks for a few validation images."""
    from mmkd.datasets.build_dataset import build_dataset
    from mmkd.visualization import (
        class_columns,
        draw_panel,
        error_column,
        evenly_spaced,
        panel_rows,
    )

    dataset = build_dataset(runs['teacher'].config, 'val')
    images = evenly_spaced(len(dataset), PICTURES)
    rows = list(panel_rows(networks, dataset, images))
    columns = class_columns(dataset.metainfo, networks)
    columns.append(error_column('distilled', against='baseline'))
    draw_panel(rows, path, columns)


def write_results(runs: dict, networks: dict, path: Path) -> None:
    """Print the results of the three networks as a table and write them as CSV."""
    from rich.console import Console
    from rich.table import Table

    table = Table('network', title='Last validation on 100 generated street scenes')
    for column in ('mIoU', 'gain', 'parameters', 'training'):
        table.add_column(column, justify='right')
    baseline = runs['baseline'].last_metrics['mIoU']
    with path.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['network', 'mIoU', 'gain', 'parameters', 'seconds'])
        for name, run in runs.items():
            miou, seconds = run.last_metrics['mIoU'], f'{run.seconds:.0f}'
            size = sum(p.numel() for p in networks[name].parameters())
            gain = f'{miou - baseline:+.2f}' if name == 'distilled' else ''
            writer.writerow([name, f'{miou:.2f}', gain, size, seconds])
            cells = f'{miou:.2f}', gain, f'{size / 1e6:.2f} M', f'{seconds} s'
            table.add_row(name, *cells)
    Console().print(table)


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    start, args = time.monotonic(), parse_args(argv)

    # Imported after parsing the arguments, so that --help is fast.
    from .console import import_packages, one_line_errors

    import_packages()
    with one_line_errors():
        draw_scenes()
        trainings = trainings_of(args.work_dir, args.cfg_options or {})
        earlier = sum(each.directory.seconds for each in trainings.values())
        runs = train(trainings)
        networks = load_networks(runs)
        write_panel(runs, networks, args.work_dir / 'panel.png')
        write_results(runs, networks, args.work_dir / 'results.csv')
    print(f'Table: {args.work_dir / "results.csv"}')
    print(f'Panel: {args.work_dir / "panel.png"}')
    seconds = time.monotonic() - start
    now = f', of which {seconds:.0f} s in this call' if earlier else ''
    print(f'Total time: {earlier + seconds:.0f} s{now}.')
    print(NEXT_STEPS.format(work_dir=args.work_dir), end='')
