"""Run the street-scenes study: all trainings and all numbers of its README.md.

python -m studies.street_scenes.run --jobs 2

Works like studies.camvid.run, with a separate trials.jsonl.
"""

from collections.abc import Mapping, Sequence

from studies.camvid.plan import PLAN as CAMVID
from studies.camvid_page import equal_time
from studies.camvid_plan import BASELINE, METRIC, group_of
from studies.equal_time import gain_cell
from studies.page import Page
from studies.plan import run_study
from studies.street_scenes.trainings import (
    FOLDER,
    LENGTH,
    SCENES,
    STAGES,
    TWICE,
    WORK_DIR,
)
from studies.trials import Trials


def draw(trials: Trials) -> None:
    """Fill the page."""
    page = Page(FOLDER / 'README.md')
    page.fill('teachers', *teacher_table(trials))
    equal, methods = equal_time(trials), CAMVID.chosen(CAMVID.trials)
    runs, long = (CAMVID.trials.of(group_of(n)) for n in (LENGTH, 2 * LENGTH))
    compared = {'CamVid': equal_time(CAMVID.trials).compare(runs, long, methods)}
    for scenes in SCENES:
        runs = trials.of(scenes)
        long = {BASELINE: runs[TWICE]}
        page.fill(scenes, *equal.table(runs, long, methods))
        compared[scenes] = equal.compare(runs, long, methods)
    page.fill('transfer', *transfer_table(compared))


def teacher_table(trials: Trials) -> tuple[list, list]:
    """Return columns and rows of the table of the teachers."""
    found = {scenes: trials.values(scenes, METRIC) for scenes in SCENES}
    return ['scenes', f'teacher, {METRIC}'], [
        [scenes, f'{values["teacher"][0]:.2f}'] for scenes, values in found.items()
    ]


def transfer_table(
    compared: Mapping[str, Sequence[tuple[Mapping, Mapping]]],
) -> tuple[list, list]:
    """Return columns and rows of the table of differences to the baselines.

    Args:
        compared: Results of :meth:`EqualTime.compare`, by data set.
    """
    columns, rows = ['method'], {}
    for data, pairs in compared.items():
        columns += [data, 'at equal time']
        for plain, equal in pairs:
            row = rows.setdefault(plain['config'], [plain['config']])
            row += [gain_cell(plain), gain_cell(equal)]
    return columns, list(rows.values())


if __name__ == '__main__':
    trials = Trials(FOLDER / 'trials.jsonl', WORK_DIR)
    run_study(__doc__, trials, STAGES, draw)
