"""The CamVid study at full size, on a GPU: docs/studies/camvid_r101.md

python tools/studies/camvid_r101.py

As camvid.py, with the trials in docs/studies/camvid_r101/trials.jsonl.
"""

from pathlib import Path

from camvid_page import draw_comparison
from studies.camvid_plan import METRIC, TUNING, length_options, scale
from studies.grid import only_runs
from studies.page import Page, study
from studies.plan import TUNING_SEED

from studies.trials import Trial, Trials
from mmkd.errors import UserError

PAGE = Page(Path('docs/studies/camvid_r101.md'))
LARGE = scale('camvid_r101', 'r101', 10000, tuning_length=2500, seeds=range(5))
LENGTHS = LARGE.length, 2 * LARGE.length
SETTLED = 1.5  # mIoU


def lengths(trials: Trials) -> list[Trial]:
    """The student alone, also twice as long, on what is held out: long enough?"""
    return [
        LARGE.alone('lengths', TUNING_SEED, TUNING | length_options(each), str(each))
        for each in LENGTHS
    ]


def teachers(trials: Trials) -> list[Trial]:
    """Those that the students learn from, once the length is found long enough.

    Raises:
        UserError: if twice the length moves the student alone too much.
    """
    found = only_runs(trials, 'lengths', METRIC)
    short, long = (found[str(length)] for length in LENGTHS)
    if abs(long - short) >= SETTLED:
        raise UserError(
            f'LARGE.length: twice as many move the student alone from {short:.2f} to '
            f'{long:.2f} {METRIC}, by {SETTLED} or more; double it'
        )
    return LARGE.teachers(trials)


def draw(trials: Trials) -> None:
    """Fills the page."""
    found = only_runs(trials, 'lengths', METRIC)
    rows = [[length, f'{found[str(length)]:.2f}'] for length in LENGTHS]
    PAGE.fill('lengths', ['iterations', f'{METRIC}, alone'], rows)
    draw_comparison(PAGE, trials, LARGE)


if __name__ == '__main__':
    stages = [lengths, teachers, LARGE.tuning, LARGE.methods]
    study(__doc__, Trials(PAGE.folder / 'trials.jsonl', LARGE.work), stages, draw)
