"""What both CamVid studies' pages have."""

from collections.abc import Sequence
from statistics import mean

from camvid_scale import GRIDS, MAIN, METRIC, Scale
from page import Page
from plan_page import draw_plan

from mmkd.analysis.trials import Trials


def draw_comparison(page: Page, trials: Trials, plan: Scale) -> None:
    """Fills in the settings, the comparison, its classes and fidelity."""
    draw_plan(page, trials, plan, MAIN, METRIC, 'mIoU on the 101 validation images')
    page.fill('classes', *class_table(trials, ['alone', *GRIDS]))


def class_table(trials: Trials, methods: Sequence[str]) -> tuple[list, list]:
    """The mean IoU of each class."""
    runs = trials.of('methods')
    classes = list(next(iter(runs['alone'].values()))['classes'])
    rows = []
    for name in classes:
        per_method = ([r['classes'][name] for r in runs[m].values()] for m in methods)
        rows.append([name, *(f'{mean(values):.1f}' for values in per_method)])
    return ['class', *methods], rows
