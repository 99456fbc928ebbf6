"""Train configs with several seeds and compare them with the first config

python tools/analysis/sweep.py CONFIG... --seeds 0 1 2

Each run has a folder of its own, WORK_DIR/<name of the config>/seed_<seed>. Calling the
same sweep again goes on where it was stopped, by whatever means: finished runs stay,
unfinished ones resume from their last checkpoint. Trainings outlive a sweep that is
killed with -9; the next one waits for them.
"""

import argparse
import csv
from pathlib import Path

from mmkd.cli.arguments import add_config_options


def parse_args() -> argparse.Namespace:
    kind = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=kind)
    add = parser.add_argument
    add('configs', nargs='+', metavar='CONFIG', help='the first is the baseline')
    add('--seeds', type=int, nargs='+', default=[0, 1, 2])
    add('--jobs', type=int, default=1, help='runs at once; they share cores or GPUs')
    add('--work-dir', type=Path, default=Path('work_dirs/sweep'))
    add('--metric', help='of the last validation (default: mIoU or accuracy/top1)')
    add_config_options(parser)
    parser.epilog = (
        'In --cfg-options {seed} stands for the seed, so that a distillation can take '
        'the teacher of its seed; a key model.teacher... goes to distillations only.'
    )
    args = parser.parse_args()
    if args.jobs < 1:
        parser.error('--jobs must be at least 1')
    for name in ('configs', 'seeds'):
        given: dict[str, list[str]] = {}
        for each in map(str, getattr(args, name)):
            given.setdefault(Path(each).stem, []).append(each)
        for stem, same in given.items():
            if len(same) > 1:
                parser.error(f'{name}: {stem} is there twice: {", ".join(same)}')
    return args


TEACHER = 'model.teacher.'


def distils(config: str) -> bool:
    """Whether a config has a teacher."""
    from mmkd.engine.config import read_config

    return 'teacher' in read_config(config).model


def options_of(seed: int, distils: bool, options: dict) -> dict:
    """The overrides for a run: its seed, and those that concern its config."""
    own = {'randomness.seed': seed}
    for key, value in options.items():
        if distils or not key.startswith(TEACHER):
            own[key] = seeded(value, seed)
    return own


def seeded(value: object, seed: int) -> object:
    """A value of an option, {seed} in it being the seed."""
    if isinstance(value, list | tuple):
        return type(value)(seeded(item, seed) for item in value)
    return value.replace('{seed}', str(seed)) if isinstance(value, str) else value


def write_csv(path: Path, rows: list[dict[str, object]]) -> None:
    """Writes rows that have the same keys; None is an empty cell."""
    with path.open('w', newline='') as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def show(rows: list[dict[str, object]], metric: str) -> None:
    """Prints the summary as a table."""
    from rich.console import Console
    from rich.table import Table

    def spread(value: float | None, sd: float | None, sign: str = '') -> str:
        if value is None:
            return ''
        return f'{value:{sign}.2f}' + ('' if sd is None else f' ± {sd:.2f}')

    table = Table('config', title=f'{metric} at the last iteration, mean ± sd')
    difference = f'difference to {rows[0]["config"]}'
    for column in ('runs', metric, difference, 'above', 'p (paired t)'):
        table.add_column(column, justify='right')
    for row in rows:
        difference = spread(row['difference'], row['difference sd'], '+')
        above = f'{row["above"]} of {row["pairs"]}' if row['pairs'] else ''
        level = spread(row['mean'], row['sd'])
        p = '' if row['p'] is None else f'{row["p"]:.3f}'
        table.add_row(row['config'], str(row['runs']), level, difference, above, p)
    Console().print(table)


def main() -> None:
    args = parse_args()

    from mmkd.cli.console import silence_import_warnings

    silence_import_warnings()
    from mmkd.analysis.statistics import summarize
    from mmkd.cli.console import one_line_errors
    from mmkd.engine.run_queue import RunQueue
    from mmkd.engine.runs import Run
    from mmkd.errors import UserError

    with one_line_errors():
        runs, options = {}, args.cfg_options or {}
        distilling = {config: distils(config) for config in args.configs}
        lost = [key for key in options if key.startswith(TEACHER)]
        if lost and not any(distilling.values()):
            raise UserError(
                f'--cfg-options {lost[0]}: none of the configs has a teacher'
            )
        for config in args.configs:
            for seed in args.seeds:
                name = Path(config).stem
                folder = args.work_dir / name / f'seed_{seed}'
                own = options_of(seed, distilling[config], options)
                runs[name, seed] = Run(config, folder, own, f'{name} {seed}')
        failed = RunQueue(list(runs.values()), args.jobs).execute()
        values = {Path(config).stem: {} for config in args.configs}
        rows = []
        for (name, seed), run in runs.items():
            if run in failed:
                continue
            state, (metric, value) = run.state(), run.result(args.metric)
            values[name][seed] = value
            rows.append(
                {
                    'config': name,
                    'seed': seed,
                    'iteration': state.done,
                    'metric': metric,
                    'value': value,
                    'seconds': round(state.seconds),
                }
            )
        if len(found := sorted({row['metric'] for row in rows})) > 1:
            raise UserError(f'--metric: the runs give {", ".join(found)}; choose one')
        if rows:
            write_csv(args.work_dir / 'runs.csv', rows)
            summary = summarize(values, baseline=Path(args.configs[0]).stem)
            write_csv(args.work_dir / 'summary.csv', summary)
            show(summary, metric)
            print(f'Written: {args.work_dir}/runs.csv, {args.work_dir}/summary.csv')
            print(f'As a page: python tools/analysis/report.py {args.work_dir}')
    if failed:
        raise SystemExit(f'{len(failed)} of {len(runs)} runs failed, see above')


if __name__ == '__main__':
    main()
