"""Run the street-scenes study: all trainings and all numbers of its README.md.

python -m studies.street_scenes.run --jobs 2

Works like studies.camvid.run, with a separate trials.jsonl.
"""

from collections.abc import Mapping, Sequence

from mmkd.analysis.statistics import summarize
from studies.camvid.plan import PLAN as CAMVID
from studies.camvid_page import equal_time
from studies.camvid_plan import BASELINE, METRIC, group_of
from studies.comparison import Runs
from studies.equal_time import EqualTime, gain_cell, summarize_gains, values_of
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
    methods = CAMVID.chosen(CAMVID.trials)
    equal, drawn = equal_time(trials), {}
    for scenes in SCENES:
        runs = trials.of(scenes)
        drawn[scenes] = equal, runs, {BASELINE: runs[TWICE]}
        page.fill(scenes, *equal.table(*drawn[scenes][1:], methods))
    short, long = (CAMVID.trials.of(group_of(n)) for n in (LENGTH, 2 * LENGTH))
    camvid = {'CamVid': (equal_time(CAMVID.trials), short, long)}
    page.fill('transfer', *transfer_table(camvid | drawn, methods))


def teacher_table(trials: Trials) -> tuple[list, list]:
    """Return columns and rows of the table of the teachers."""
    found = {scenes: trials.values(scenes, METRIC) for scenes in SCENES}
    return ['scenes', f'teacher, {METRIC}'], [
        [scenes, f'{values["teacher"][0]:.2f}'] for scenes, values in found.items()
    ]


def transfer_table(
    data: Mapping[str, tuple[EqualTime, Runs, Runs]], methods: Sequence[str]
) -> tuple[list, list]:
    """Return columns and rows of the table of differences to the baselines.

    Args:
        data: Comparison at equal time of each data set, with its records of a length
            and those of the baseline at twice the length.
        methods: Methods to compare.
    """
    columns, rows = ['method'], {method: [method] for method in methods}
    for name, (equal, runs, long) in data.items():
        columns += [name, 'at equal time']
        values = values_of(runs, METRIC)
        plain = summarize({m: values[m] for m in (BASELINE, *methods)}, BASELINE)[1:]
        for row in (*plain, *summarize_gains(equal.differences(runs, long, methods))):
            rows[row['config']].append(gain_cell(row))
    return columns, list(rows.values())


if __name__ == '__main__':
    trials = Trials(FOLDER / 'trials.jsonl', WORK_DIR)
    run_study(__doc__, trials, STAGES, draw)
