"""Write an HTML page with figures that compares finished runs.

Each WORK_DIR is a run of train, sweep or demo, or a folder that contains runs at any
depth. For the seeds of a method, in METHOD/seed_<seed>, the page has mean, standard
deviation and a paired test against the baseline, the student trained without a teacher,
which is found among the runs. Logs and configs are read as data; no code in them is
executed. Networks are built from registered classes only, to measure their cost and to
draw predictions, which also requires the checkpoints and the validation images.
"""

import argparse
import os
from datetime import date
from importlib import import_module
from pathlib import Path


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('work_dirs', nargs='+', type=Path, metavar='WORK_DIR')
    add(
        '--out',
        type=Path,
        help='folder to write (default: report in the first WORK_DIR)',
    )
    add('--title', help='title of the page')
    add('--baseline', help='method to compare with (default: found by its network)')
    add('--metric', help='metric of the comparison (default: mIoU or accuracy/top1)')
    add('--images', type=int, default=3, help='images per picture; 0 for no pictures')
    add(
        '--import',
        nargs='+',
        default=[],
        dest='modules',
        metavar='MODULE',
        help='modules to import first, which register classes of your own',
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)

    # Imported after parsing the arguments, so that --help is fast.
    from .console import import_packages, one_line_errors

    import_packages()
    from mmkd.analysis.comparison import load_comparison
    from mmkd.analysis.pictures import draw_pictures
    from mmkd.analysis.report import build_report
    from mmkd.origin import command, version

    with one_line_errors():
        import_modules(args.modules)
        comparison = load_comparison(args.work_dirs, args.baseline, args.metric)
        out = args.out or args.work_dirs[0] / 'report'
        out.mkdir(parents=True, exist_ok=True)
        title = args.title or f'Distillation: {args.work_dirs[0].resolve().name}'
        pictures, notes = (
            draw_pictures(comparison, out, args.images) if args.images else ([], [])
        )
        origin = f'This page: {command()}; {date.today()}; mmkd {version()}.'
        page = build_report(comparison, title, out, pictures, notes, origin)
        path = out / 'report.html'
        path.write_text(page.render(), encoding='utf-8')
    print(page.finding)
    print(f'Report: {os.fsencode(path).decode(errors="replace")}')


def import_modules(names: list[str]) -> None:
    """Import the modules given with ``--import``."""
    from mmkd.errors import UserError

    for name in names:
        try:
            import_module(name)
        except ImportError as error:
            raise UserError(
                f'--import {name}: {error}; is it installed, or on PYTHONPATH?'
            ) from error
