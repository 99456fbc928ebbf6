"""Run the study of class balancing: all trainings and all numbers of its README.md.

python -m studies.camvid_class_balance.run --jobs 2

Works like studies.camvid.run, with a separate trials.jsonl.
"""

from studies.camvid_class_balance.ablation import ablation_table
from studies.camvid_class_balance.plan import PLAN
from studies.camvid_class_balance.trainings import STAGES
from studies.camvid_page import draw_settings
from studies.page import Page
from studies.plan import run_study
from studies.trials import Trials


def draw(trials: Trials) -> None:
    """Fill the page."""
    page = Page(PLAN.folder / 'README.md')
    draw_settings(page, trials, PLAN)
    page.fill('ablation', *ablation_table(trials))


if __name__ == '__main__':
    run_study(__doc__, PLAN.trials, STAGES, draw)
