"""Run the CamVid study at full size on a GPU; see its README.md.

python -m studies.camvid_r101.run

Works like studies.camvid.run, with a separate trials.jsonl.
"""

from studies.camvid_page import draw_camvid_comparison
from studies.camvid_plan import camvid_plan
from studies.page import Page
from studies.plan import run_study
from studies.trials import Trials

PLAN = camvid_plan(
    'camvid_r101',
    teacher_length=20000,
    lengths=(1250, 5000, 20000),
)
STAGES = (
    PLAN.weighting,
    PLAN.teachers,
    PLAN.pair,
    PLAN.tuning,
    PLAN.combined,
    PLAN.times,
    PLAN.baselines,
    PLAN.methods,
    PLAN.more,
)


def draw(trials: Trials) -> None:
    """Fill the page."""
    page = Page(PLAN.folder / 'README.md')
    draw_camvid_comparison(page, trials, PLAN)


if __name__ == '__main__':
    run_study(__doc__, PLAN.trials, STAGES, draw)
