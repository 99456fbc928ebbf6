"""Distil a small network on drawn street scenes and see what it gains: make demo"""

import argparse
import csv
import io
import subprocess
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path

from mmkd.cli.arguments import add_config_options

TOOLS = Path(__file__).parent
CONFIGS = TOOLS.parent / 'configs' / 'demo'
DATA = Path('data/street_scenes')
SCENES = ['--size', '128', '256', '--train', '400', '--val', '100']
NETWORKS = dict(teacher='teacher', student='alone', distilled='distilled')
PICTURES = 4  # at even distances through the validation images, not picked
GO_ON = """
Go on with
  a page of what came out      python tools/analysis/report.py {work_dir}
  your own networks and data   README.md, "Distil your own pair"
  Cityscapes                   README.md, "Cityscapes: PSPNet-R101 to PSPNet-R18"
  several seeds                configs/demo/README.md, with tools/analysis/sweep.py
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/demo'))
    add_config_options(parser)
    return parser.parse_args()


def train(work_dir: Path, options: dict) -> dict:
    """Trains the networks, each once; goes on where an earlier call was stopped."""
    from mmkd.engine.run_queue import RunQueue
    from mmkd.engine.runs import Run

    runs = {}
    for network, name in NETWORKS.items():
        own = {'randomness.seed': 0, **options}
        if network == 'distilled':
            own['model.teacher.checkpoint'] = str(runs['teacher'].checkpoint)
        config, folder = str(CONFIGS / f'{network}.py'), work_dir / network
        runs[network] = Run(config, folder, own, name)
    if RunQueue(list(runs.values())).execute():
        sys.exit(1)
    return runs


def load(run):
    """The network that a run has trained, as mmseg's own tools load it."""
    from mmengine.device import get_device
    from mmseg.apis import init_model

    plain = run.work_dir / 'student.py'  # beside a distilled student
    config = str(plain) if plain.exists() else run.config
    with redirect_stdout(io.StringIO()):  # says where the file lies
        return init_model(config, str(run.checkpoint), device=get_device())


def write_panel(models: dict, path: Path) -> None:
    """Draws what the networks predict for a few validation images."""
    from mmkd.datasets.build_dataset import build_dataset
    from mmkd.visualization import draw_panel, error, maps, panel_rows, spread

    networks = {NETWORKS[network]: model for network, model in models.items()}
    dataset = build_dataset(models['teacher'].cfg, 'val')
    rows = list(panel_rows(networks, dataset, spread(len(dataset), PICTURES)))
    contrast = error(NETWORKS['distilled'], against=NETWORKS['student'])
    draw_panel(rows, path, [*maps(dataset.metainfo, networks), contrast])


def write_results(runs: dict, models: dict, path: Path) -> None:
    """Prints the table of the three networks and writes it as CSV."""
    from rich.console import Console
    from rich.table import Table

    table = Table('network', title='Last validation on 100 drawn street scenes')
    for column in ('mIoU', 'gain', 'parameters', 'training'):
        table.add_column(column, justify='right')
    _, alone = runs['student'].result()
    with path.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['network', 'mIoU', 'gain', 'parameters', 'seconds'])
        for network, name in NETWORKS.items():
            _, miou = runs[network].result()
            seconds = runs[network].state().seconds
            size = sum(p.numel() for p in models[network].parameters())
            gain = f'{miou - alone:.2f}' if network == 'distilled' else ''
            writer.writerow([name, f'{miou:.2f}', gain, size, f'{seconds:.0f}'])
            gain = gain and f'{miou - alone:+.2f}'
            cells = f'{miou:.2f}', gain, f'{size / 1e6:.2f} M', f'{seconds:.0f} s'
            table.add_row(name, *cells)
    Console().print(table)


def main() -> None:
    start, args = time.monotonic(), parse_args()
    # Processes of their own: their words go to their logs, not on this screen.
    scenes = TOOLS / 'dataset_converters' / 'street_scenes.py'
    command = [sys.executable, str(scenes), '--out', str(DATA), *SCENES]
    if subprocess.run(command).returncode:
        sys.exit(1)

    from mmkd.cli.console import silence_import_warnings

    silence_import_warnings()
    from mmkd.cli.console import one_line_errors

    with one_line_errors():
        runs = train(args.work_dir, args.cfg_options or {})
        models = {network: load(run) for network, run in runs.items()}
        write_panel(models, args.work_dir / 'panel.png')
        write_results(runs, models, args.work_dir / 'results.csv')
    print(f'Table: {args.work_dir / "results.csv"}')
    print(f'Panel: {args.work_dir / "panel.png"}')
    print(f'All of it took {time.monotonic() - start:.0f} s.')
    print(GO_ON.format(work_dir=args.work_dir), end='')


if __name__ == '__main__':
    main()
