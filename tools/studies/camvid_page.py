"""The tables and figures that every CamVid study's page has."""

from statistics import mean

from camvid_scale import GRIDS, MAIN, METRIC
from fidelity import draw_fidelity
from grid import Tuning
from page import DOTS, Page, comparison, dots

from mmkd.analysis.trials import Trials


def draw_comparison(page: Page, trials: Trials) -> None:
    """Fills in the settings, the comparison and what it says of fidelity."""
    page.fill('tuning', *Tuning(trials, GRIDS, METRIC).table())
    values = trials.values('methods', METRIC)
    order = ['alone', *GRIDS]
    values = {method: values[method] for method in order}
    names = dict(zip(order, order, strict=True))
    page.fill('methods', *comparison(values, 'alone', names, METRIC))
    others = [method for method in GRIDS if method != MAIN]
    against = {method: values[method] for method in (MAIN, *others)}
    page.fill('against', *comparison(against, MAIN, names, METRIC))
    figure = dots(values, names, 'mIoU on the 101 validation images')
    page.save('methods', figure, DOTS)
    page.fill('classes', *class_table(trials, order))
    draw_fidelity(page, trials, list(GRIDS))


def class_table(trials: Trials, order: list[str]) -> tuple[list, list]:
    """The mean IoU of each class."""
    runs = trials.of('methods')
    classes = list(next(iter(runs['alone'].values()))['classes'])
    rows = []
    for name in classes:
        per_method = ([r['classes'][name] for r in runs[m].values()] for m in order)
        rows.append([name, *(f'{mean(values):.1f}' for values in per_method)])
    return ['class', *order], rows
