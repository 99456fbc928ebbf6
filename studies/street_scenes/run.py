"""Run the street-scenes study: all trainings and all numbers of its README.md.

python -m studies.street_scenes.run --jobs 2

Works like studies.camvid.run, with a separate trials.jsonl.
"""

from studies.camvid.plan import PLAN as CAMVID
from studies.camvid_page import equal_time
from studies.camvid_plan import BASELINE, METRIC
from studies.page import Page
from studies.plan import progress_table, run_study
from studies.street_scenes.trainings import (
    FOLDER,
    SCENES,
    STAGES,
    TWICE,
    WORK_DIR,
)
from studies.trials import Trials


def draw(trials: Trials) -> None:
    """Fill the page."""
    page = Page(FOLDER / 'README.md')
    page.fill('progress', *progress_table(trials, STAGES))
    page.fill('teachers', *teacher_table(trials))
    equal = equal_time(trials)
    for scenes in SCENES:
        runs = trials.of(scenes)
        found = [m for m in CAMVID.grids if m in runs and m in equal.seconds]
        if found and TWICE in runs:
            long = {BASELINE: runs[TWICE]}
            page.fill(scenes, *equal.table(runs, long, found))


def teacher_table(trials: Trials) -> tuple[list, list]:
    """Return columns and rows of the table of the teachers."""
    found = {scenes: trials.values(scenes, METRIC) for scenes in SCENES}
    return ['scenes', f'teacher, {METRIC}'], [
        [scenes, f'{values["teacher"][0]:.2f}']
        for scenes, values in found.items()
        if 'teacher' in values
    ]


if __name__ == '__main__':
    trials = Trials(FOLDER / 'trials.jsonl', WORK_DIR)
    run_study(__doc__, trials, STAGES, draw, partial=True)
