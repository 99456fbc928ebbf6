"""Run the CamVid study: all trainings and all numbers of its README.md.

python -m studies.camvid.run --jobs 2

Runs the trainings that are missing in trials.jsonl and records them there; rerun it to
resume after an interruption. PROTOCOL.md says what is trained, and in which order.
Finally the tables and figures of the page are redrawn; with --draw nothing is trained.
"""

from studies.camvid.all_images import GROUP as ALL_IMAGES
from studies.camvid.all_images import all_images_table, teachers_table
from studies.camvid.few_labels import few_label_tables
from studies.camvid.other_students import family_table
from studies.camvid.plan import PLAN
from studies.camvid.trainings import STAGES
from studies.camvid_page import draw_camvid_comparison
from studies.page import Page
from studies.plan import run_study
from studies.trials import Trials


def draw(trials: Trials) -> None:
    """Fill the page."""
    page = Page(PLAN.folder / 'README.md')
    draw_camvid_comparison(page, trials, PLAN)
    page.fill('families', *family_table(trials))
    for fraction, table in few_label_tables(trials).items():
        page.fill(fraction, *table)
    page.fill(ALL_IMAGES, *all_images_table(trials))
    page.fill('teachers', *teachers_table(trials))


if __name__ == '__main__':
    run_study(__doc__, PLAN.trials, STAGES, draw)
