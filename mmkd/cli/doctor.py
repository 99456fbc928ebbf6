"""Report likely mistakes in trainings, and how to fix them.

WORK_DIR is a finished or interrupted run, or a folder that contains runs at any depth.
The logs and the recorded config of each run are read as data; no code in them is
executed. The same findings are logged as warnings during a training with mmkd:

* the number of processes times the batch size differs from
  auto_scale_lr.base_batch_size, for which the learning rate is meant;
* the teacher is not better than the student's last validation;
* a distillation loss stays below 1/20 or above 20 times the task loss for 50
  iterations after its warm-up;
* a class never occurs in the labels while the ignored value does (as logged by mmkd).

The exit status is 0 without findings, 1 with findings, and 2 if a run cannot be read.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import TextIO


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('work_dir', type=Path, metavar='WORK_DIR')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)

    # Imported after parsing the arguments, so that --help is fast.
    from .console import import_packages

    import_packages()
    from mmkd.errors import UserError
    from mmkd.runs.doctor import diagnose
    from mmkd.runs.run_directory import find_runs

    status = 0
    runs = find_runs(args.work_dir)
    if not runs:
        print_line(
            f"error: '{args.work_dir}': contains no run that has logged an iteration; "
            'give the work_dir of a training',
            sys.stderr,
        )
        status = 2
    for run in runs:
        try:
            findings = diagnose(run)
        except (UserError, OSError) as error:
            print_line(f'error: {error}', sys.stderr)
            status = 2
            continue
        for line in findings or ['nothing found']:
            print_line(f'{run.path}: {line}')
        status = max(status, bool(findings))
    sys.exit(status)


def print_line(text: str, file: TextIO | None = None) -> None:
    """Print a line without control characters."""
    text = os.fsencode(text).decode(errors='replace')
    print(''.join(c if c.isprintable() else '?' for c in text), file=file)
