"""Train configs with several seeds and compare them with the first config.

Each run has its own folder, WORK_DIR/<name of the config>/seed_<seed>. Rerun the same
command to continue an interrupted sweep: finished runs are kept, unfinished ones resume
from their last checkpoint. Trainings continue if the sweep is killed with -9; the next
sweep waits for them.
"""

import argparse
import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import add_config_options

if TYPE_CHECKING:
    from mmkd.runs.training import Training

DISTILLATION = ('teacher.', 'distill_losses.')  # prefixes of keys of distillations
Row = dict[str, Any]


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('configs', nargs='+', metavar='CONFIG', help='the first is the baseline')
    add('--seeds', type=int, nargs='+', default=[0, 1, 2])
    add('--jobs', type=int, default=1, help='simultaneous runs; share cores or GPUs')
    add('--work-dir', type=Path, default=Path('work_dirs/sweep'))
    add('--metric', help='metric to compare (default: mIoU or accuracy/top1)')
    add_config_options(parser)
    parser.epilog = (
        'In --cfg-options, {seed} is replaced by the seed, so that a distillation can '
        'use the teacher of the same seed; keys teacher... and distill_losses... apply '
        'only to distillations.'
    )
    args = parser.parse_args(argv)
    if args.jobs < 1:
        parser.error('--jobs must be at least 1')
    for name in ('configs', 'seeds'):
        counts = Counter(Path(str(each)).stem for each in getattr(args, name))
        if twice := [each for each, count in counts.items() if count > 1]:
            parser.error(f'{name}: {", ".join(twice)} is given twice')
    return args


def trainings_of(args: argparse.Namespace) -> dict[tuple[str, int], 'Training']:
    """Return the training of each config and seed.

    Raises:
        UserError: if a config cannot be read, or an option applies to no config.
    """
    from mmkd.engine.config import read_config
    from mmkd.errors import UserError
    from mmkd.runs.training import Training

    options = args.cfg_options or {}
    distills = {
        config: bool(read_config(config).get('teacher')) for config in args.configs
    }
    unused = [key for key in options if key.startswith(DISTILLATION)]
    if unused and not any(distills.values()):
        raise UserError(
            f'--cfg-options {unused[0]}: none of the configs has a teacher; remove the '
            'option, or add a distillation config'
        )
    trainings = {}
    for config in args.configs:
        own = {
            key: value
            for key, value in options.items()
            if distills[config] or not key.startswith(DISTILLATION)
        }
        for seed in args.seeds:
            name = Path(config).stem
            trainings[name, seed] = Training(
                config,
                args.work_dir / name / f'seed_{seed}',
                {'randomness.seed': seed, **with_seed(own, seed)},
                f'{name} {seed}',
            )
    return trainings


def with_seed(value: Any, seed: int) -> Any:
    """Replace {seed} in all strings of an option's value."""
    if isinstance(value, Mapping):
        return {key: with_seed(item, seed) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(with_seed(item, seed) for item in value)
    return value.replace('{seed}', str(seed)) if isinstance(value, str) else value


def write_results(runs: Mapping, args: argparse.Namespace) -> None:
    """Write and print the results of the finished runs.

    Raises:
        UserError: if the runs lack the metric, or have no common one.
    """
    from mmkd.analysis.statistics import summarize
    from mmkd.runs.run_directory import common_metric

    metric = common_metric(list(runs.values()), args.metric)
    rows = []
    values: dict[str, dict[int, float]] = {Path(c).stem: {} for c in args.configs}
    for (name, seed), run in runs.items():
        value = values[name][seed] = run.last_metrics[metric]
        rows.append(
            {
                'config': name,
                'seed': seed,
                'iteration': run.done,
                'metric': metric,
                'value': value,
                'seconds': round(run.seconds),
            }
        )
    summary = summarize(values, baseline=Path(args.configs[0]).stem)
    write_csv(args.work_dir / 'runs.csv', rows)
    write_csv(args.work_dir / 'summary.csv', summary)
    print_summary(summary, metric)
    print(f'Written: {args.work_dir}/runs.csv, {args.work_dir}/summary.csv')
    print(f'As a page: mmkd report {args.work_dir}')


def write_csv(path: Path, rows: list[Row]) -> None:
    """Write rows with equal keys as CSV; None becomes an empty cell."""
    with path.open('w', newline='') as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def print_summary(rows: list[Row], metric: str) -> None:
    """Print the summary as a table."""
    from rich.console import Console
    from rich.table import Table

    from mmkd.analysis.statistics import SUMMARY_COLUMNS, summary_cells

    baseline = rows[0]['config']
    title = f'{metric} at the last iteration, differences to {baseline} (paired t-test)'
    table = Table('config', title=title)
    for column in SUMMARY_COLUMNS:
        table.add_column(column, justify='right')
    for row in rows:
        table.add_row(row['config'], *summary_cells(row))
    Console().print(table)


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)

    # Imported after parsing the arguments, so that --help is fast.
    from .console import import_packages, one_line_errors

    import_packages()
    from mmkd.runs.run_queue import RunQueue

    with one_line_errors():
        trainings = trainings_of(args)
        failed = RunQueue(list(trainings.values()), args.jobs).execute()
        runs = {
            key: training.directory
            for key, training in trainings.items()
            if training not in failed
        }
        if runs:
            write_results(runs, args)
    if failed:
        raise SystemExit(f'{len(failed)} of {len(trainings)} runs failed, see above')
