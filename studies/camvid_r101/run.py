"""Run the CamVid study at full size on a GPU; see its README.md.

python -m studies.camvid_r101.run

Works like studies.camvid.run, with a separate trials.jsonl.
"""

from collections.abc import Sequence

from mmkd.errors import UserError
from studies.camvid_page import draw_camvid_comparison
from studies.camvid_plan import METRIC, camvid_plan
from studies.grid import single_runs
from studies.page import Page
from studies.plan import progress_table, run_study
from studies.trials import Trial, Trials

PLAN = camvid_plan(
    'camvid_r101',
    teacher_length=20000,
    lengths=(1250, 5000, 20000),
)
LIMIT = 1.5  # mIoU
GAP = 6.0  # mIoU


def tuning(trials: Trials) -> Sequence[Trial]:
    """Return the trials of tuning, after checking the pair and the largest length.

    Raises:
        UserError: if the baseline improves too much with twice the length, or is too
            near to the teacher.
    """
    found = single_runs(trials, 'pair', METRIC)
    short, long = (found[str(n * PLAN.lengths[-1])] for n in (1, 2))
    if abs(long - short) >= LIMIT:
        raise UserError(
            f'lengths: twice the largest one changes the baseline from {short:.2f} to '
            f'{long:.2f} {METRIC}, by {LIMIT} or more; double them'
        )
    teacher = trials.values('teachers', METRIC)['teacher'][0]
    if teacher - short < GAP:
        raise UserError(
            f'teacher: {teacher:.2f} {METRIC} are less than {GAP} above the '
            f"baseline's {short:.2f}; train it longer, or choose a smaller student"
        )
    return PLAN.tuning(trials)


STAGES = (
    PLAN.weighting,
    PLAN.teachers,
    PLAN.pair,
    tuning,
    PLAN.combined,
    PLAN.times,
    PLAN.baselines,
    PLAN.methods,
    PLAN.more,
)


def draw(trials: Trials) -> None:
    """Fill the page."""
    page = Page(PLAN.folder / 'README.md')
    page.fill('progress', *progress_table(trials, STAGES))
    draw_camvid_comparison(page, trials, PLAN)


if __name__ == '__main__':
    run_study(__doc__, PLAN.trials, STAGES, draw)
