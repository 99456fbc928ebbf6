"""Turn finished runs into one page of HTML with its figures

python tools/analysis/report.py WORK_DIR...

Each WORK_DIR is a run, or a folder with runs anywhere below it, as train.py, sweep.py
and demo.py leave them. Of seeds of one method, in METHOD/seed_<seed>, the page has mean
and spread, and a paired test against the student alone, which it finds among the runs.
Only logs and configs are read, but for the pictures of predictions, which need the
checkpoints and the validation images.
"""

import argparse
from pathlib import Path


def parse_args() -> argparse.Namespace:
    kind = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=kind)
    add = parser.add_argument
    add('work_dirs', nargs='+', type=Path, metavar='WORK_DIR')
    add('--out', type=Path, help='folder to write (default: report in WORK_DIR)')
    add('--title', help='of the page')
    add('--baseline', help='the method to compare with (default: the student alone)')
    add('--metric', help='to compare by (default: mIoU or accuracy/top1)')
    add('--images', type=int, default=3, help='in each picture; 0 for no pictures')
    return parser.parse_args()


def main() -> None:
    args = parse_args()

    from mmkd.cli.console import silence_import_warnings

    silence_import_warnings()
    from mmkd.analysis.pictures import draw_pictures
    from mmkd.analysis.report import build
    from mmkd.analysis.study import gather
    from mmkd.cli.console import one_line_errors

    with one_line_errors():
        study = gather(args.work_dirs, args.baseline, args.metric)
        out = args.out or args.work_dirs[0] / 'report'
        out.mkdir(parents=True, exist_ok=True)
        title = args.title or f'Distillation: {args.work_dirs[0].resolve().name}'
        pictures = draw_pictures(study, out, args.images) if args.images else ([], [])
        page = build(study, title, out, *pictures)
        path = out / 'report.html'
        path.write_text(page.render(), encoding='utf-8')
    print(page.finding)
    print(f'Report: {path}')


if __name__ == '__main__':
    main()
