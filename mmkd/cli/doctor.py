"""Look for what makes trainings disappoint, and name the fix.

WORK_DIR is a run, finished or interrupted, or a folder with runs anywhere below it. Of
each run its logs and its recorded config are read, as data: no code in them is
executed. Reported is what a training with mmkd also logs as a warning while it runs:

* processes x batch size differ from auto_scale_lr.base_batch_size, to which the
  learning rate belongs;
* the teacher is not better than the student's last validation;
* a distillation loss stays below 1/20 or above 20 times the task loss for 50
  iterations with its full weight;
* a class never occurs in the labels, while the ignored value does (as logged by mmkd).

Exit status: 0 without a finding, 1 with findings, 2 if a run cannot be read.
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

    # After the arguments, so that --help is instant.
    from .console import silence_import_warnings

    silence_import_warnings()
    from mmkd.errors import UserError
    from mmkd.runs.doctor import diagnose
    from mmkd.runs.run_directory import find_runs

    status = 0
    runs = find_runs(args.work_dir)
    if not runs:
        print_line(
            f"error: '{args.work_dir}': no run here or below it that has logged an "
            'iteration; give the work_dir of a training',
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
    """Print a line without characters that a terminal would act upon."""
    text = os.fsencode(text).decode(errors='replace')
    print(''.join(c if c.isprintable() else '?' for c in text), file=file)
