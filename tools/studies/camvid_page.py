"""The tables and figures that every CamVid study's page has."""

from statistics import mean

from camvid_scale import GRIDS, MAIN, METRIC
from grid import Tuning
from matplotlib.figure import Figure
from page import DOTS, WIDTH, Page, comparison, dots, plain, spread

from mmkd.analysis.trials import Trials

FIDELITY = {
    'agreement': 'agreement',
    'forward_kl': 'KL(teacher \\|\\| student)',
    'reverse_kl': 'KL(student \\|\\| teacher)',
    'rank_correlation': 'rank correlation',
    'small_probability_error': 'error of small probabilities',
    'std_ratio': 'std ratio',
    'ece': 'calibration error',
}


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
    page.fill('fidelity', *fidelity_table(trials))
    text = 'Rank correlation, error of small probabilities, standard deviations'
    page.save('fidelity', fidelity_figure(trials), text)


def class_table(trials: Trials, order: list[str]) -> tuple[list, list]:
    """The mean IoU of each class."""
    runs = trials.of('methods')
    classes = list(next(iter(runs['alone'].values()))['classes'])
    rows = []
    for name in classes:
        per_method = ([r['classes'][name] for r in runs[m].values()] for m in order)
        rows.append([name, *(f'{mean(values):.1f}' for values in per_method)])
    return ['class', *order], rows


def fidelity_of(trials: Trials, method: str, kind: str) -> list[float]:
    """A figure of each seed."""
    runs = trials.of('methods')[method]
    return [run['metrics'][f'fidelity/{kind}'] for run in runs.values()]


def fidelity_table(trials: Trials) -> tuple[list, list]:
    """Mean and standard deviation of each figure."""
    rows = [
        [m, *(spread(fidelity_of(trials, m, kind), digits=3) for kind in FIDELITY)]
        for m in GRIDS
    ]
    return ['method', *FIDELITY.values()], rows


def fidelity_figure(trials: Trials) -> Figure:
    """What the papers claim: order, small probabilities, range."""
    kinds = 'rank_correlation', 'small_probability_error', 'std_ratio'
    figure = Figure((WIDTH, 2.7), layout='constrained')
    for axes, kind in zip(figure.subplots(1, 3, sharey=True), kinds, strict=True):
        for place, method in enumerate(GRIDS):
            values = fidelity_of(trials, method, kind)
            axes.scatter(values, [place] * len(values), 18)
        axes.set_title(FIDELITY[kind], fontsize=9)
        axes.set_yticks(range(len(GRIDS)), GRIDS)
        axes.set_ylim(len(GRIDS) - 0.5, -0.5)
        plain(axes)
    return figure
