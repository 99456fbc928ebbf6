"""Run the CamVid study at full size on a GPU; see its README.md.

python -m studies.camvid_r101.run

Works like studies.camvid.run, with a separate trials.jsonl.
"""

from mmkd.errors import UserError
from studies.camvid_plan import (
    METRIC,
    TUNING,
    camvid_plan,
    draw_camvid_comparison,
    length_options,
)
from studies.grid import single_runs
from studies.page import Page
from studies.plan import TUNING_SEED, run_study
from studies.trials import Trial, Trials

PLAN = camvid_plan('camvid_r101', 'r101', 10000, tuning_length=2500, seeds=range(5))
LENGTHS = PLAN.length, 2 * PLAN.length
LIMIT = 1.5  # mIoU


def lengths(trials: Trials) -> list[Trial]:
    """Return baselines of the study's length and twice the length, on held-out data."""
    return [
        PLAN.baseline('lengths', TUNING_SEED, TUNING | length_options(each), str(each))
        for each in LENGTHS
    ]


def teachers(trials: Trials) -> list[Trial]:
    """Return the teachers, after checking that the length is sufficient.

    Raises:
        UserError: if the baseline improves too much with twice the length.
    """
    found = single_runs(trials, 'lengths', METRIC)
    short, long = (found[str(length)] for length in LENGTHS)
    if abs(long - short) >= LIMIT:
        raise UserError(
            f'PLAN.length: twice as many change the baseline from {short:.2f} to '
            f'{long:.2f} {METRIC}, by {LIMIT} or more; double it'
        )
    return PLAN.teachers(trials)


def draw(trials: Trials) -> None:
    """Fill the page."""
    page = Page(PLAN.folder / 'README.md')
    found = single_runs(trials, 'lengths', METRIC)
    rows = [[length, f'{found[str(length)]:.2f}'] for length in LENGTHS]
    page.fill('lengths', ['iterations', f'{METRIC}, baseline'], rows)
    draw_camvid_comparison(page, trials, PLAN)


if __name__ == '__main__':
    stages = [lengths, teachers, PLAN.tuning, PLAN.methods]
    run_study(__doc__, PLAN.trials, stages, draw)
