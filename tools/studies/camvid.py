"""The CamVid study: every training and every number of docs/studies/camvid.md

python tools/studies/camvid.py --jobs 2

Trains what docs/studies/camvid/trials.jsonl does not have yet, and writes it there; a
study that is stopped goes on where it was. The methods' settings come from the trials
of the group `tuning`, which see nothing of the validation set. Then the page's tables
and figures are drawn anew; with --draw that is all.
"""

import os
from pathlib import Path
from statistics import mean

from camvid_trials import (
    HEAVY,
    MAIN,
    MENDS,
    METHODS,
    METRIC,
    TUNING_LENGTH,
    TUNING_SEED,
    WORK,
    best,
    cells,
    drivers,
    mends,
    methods,
    teachers,
    tuning,
)
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from page import WIDTH, Page, comparison, dots, lines, plain, spread, study

from mmkd.analysis.trials import Trials

PAGE = Page(Path('docs/studies/camvid.md'))
FIDELITY = {
    'agreement': 'agreement',
    'forward_kl': 'KL(teacher \\|\\| student)',
    'reverse_kl': 'KL(student \\|\\| teacher)',
    'rank_correlation': 'rank correlation',
    'small_probability_error': 'error of small probabilities',
    'std_ratio': 'std ratio',
    'ece': 'calibration error',
}


def draw(trials: Trials) -> None:
    """Fills the page."""
    tuned = once(trials, 'tuning')
    PAGE.fill('tuning', *tuning_table(tuned))
    PAGE.fill('mends', *mend_table(trials, tuned))
    values = trials.values('methods', METRIC)
    order = ['alone', *METHODS]
    values = {method: values[method] for method in order}
    names = dict(zip(order, order, strict=True))
    PAGE.fill('methods', *comparison(values, 'alone', names, METRIC))
    others = [method for method in order if method not in ('alone', MAIN)]
    against = {method: values[method] for method in (MAIN, *others)}
    PAGE.fill('against', *comparison(against, MAIN, names, METRIC))
    PAGE.save('methods', dots(values, names, 'mIoU on the 101 validation images'))
    PAGE.fill('classes', *class_table(trials, order))
    found = once(trials, 'drivers')
    PAGE.fill('weights', *weight_table(trials, tuned, found))
    PAGE.fill('reverse', *reverse_table(trials, tuned, found))
    PAGE.fill('others', *other_table(trials, tuned, found))
    PAGE.save('drivers', driver_figure(trials, tuned, found))
    PAGE.fill('fidelity', *fidelity_table(trials))
    PAGE.save('fidelity', fidelity_figure(trials))


def once(trials: Trials, group: str) -> dict[str, float]:
    """The metric of each trial of a group of one seed."""
    values = trials.values(group, METRIC)
    return {name: found[TUNING_SEED] for name, found in values.items()}


def chosen_name(trials: Trials, method: str) -> str:
    """The cell that tuning has found best."""
    loss = best(trials, method)
    return next(name for name, cell in cells(method).items() if cell == loss)


def tuning_table(tuned: dict) -> tuple[list, list]:
    """A row a method: its grid, the best one bold."""
    rows = []
    for method in METHODS:
        grid = cells(method)
        top = max(grid, key=tuned.get)
        row = [method]
        for name, loss in grid.items():
            text = f'{tuned[name]:.2f}'
            row.append(
                f'{loss["tau"]:g}, {loss["loss_weight"]:g}: '
                + (f'**{text}**' if name == top else text)
            )
        rows.append(row)
    return ['method', *(['tau, weight: mIoU'] * 6)], rows


def mend_table(trials: Trials, tuned: dict) -> tuple[list, list]:
    """BDD+LS as LSKD has it, and each other way."""
    found = once(trials, 'mends')
    rows = [['as LSKD: per pixel, warm-up, weight 8', f'{tuned[MAIN_LIKE]:.2f}']]
    rows += [[name, f'{found[name]:.2f}'] for name in MENDS]
    return ['BDD+LS, tau 0.5', METRIC], rows


MAIN_LIKE = 'BDD+LS, tau 0.5, weight 8'


def class_table(trials: Trials, order: list[str]) -> tuple[list, list]:
    """The mean IoU of each class."""
    runs = trials.of('methods')
    classes = list(next(iter(runs['alone'].values()))['classes'])
    rows = []
    for name in classes:
        per_method = ([r['classes'][name] for r in runs[m].values()] for m in order)
        rows.append([name, *(f'{mean(values):.1f}' for values in per_method)])
    return ['class', *order], rows


def weight_table(trials: Trials, tuned: dict, found: dict) -> tuple[list, list]:
    """The metric at each weight, at the method's best temperature."""
    points = weights_of(trials, tuned, found)
    weights = sorted({weight for each in points.values() for weight in each})
    rows = [
        [method, *(f'{each[w]:.2f}' if w in each else '' for w in weights)]
        for method, each in points.items()
    ]
    return ['weight', *(f'{w:g}' for w in weights)], rows


def weights_of(
    trials: Trials, tuned: dict, found: dict
) -> dict[str, dict[float, float]]:
    """The same as numbers."""
    points = {}
    for method, heavy in HEAVY.items():
        tau = best(trials, method)['tau']
        grid = {
            loss['loss_weight']: tuned[name]
            for name, loss in cells(method).items()
            if loss['tau'] == tau
        }
        more = {w: found[f'{method}, weight {w:g}'] for w in heavy}
        points[f'{method}, tau {tau:g}'] = grid | more
    return points


def reverse_of(trials: Trials, tuned: dict, found: dict) -> tuple[dict, dict]:
    """The metric by reverse weight, and by the reverse half's temperature."""
    main = best(trials, 'BDD+LS')
    here = tuned[chosen_name(trials, 'BDD+LS')]
    weights = {1.0: here}
    weights |= {w: found[f'reverse weight {w:g}'] for w in (0.25, 4.0)}
    taus = {main['tau']: here}
    tau = 2 * main['tau']
    taus[tau] = found[f'reverse tau {tau:g}']
    return dict(sorted(weights.items())), dict(sorted(taus.items()))


def reverse_table(trials: Trials, tuned: dict, found: dict) -> tuple[list, list]:
    """What weight and temperature of the reverse half do."""
    weights, taus = reverse_of(trials, tuned, found)
    rows = [
        [f'{what} {setting:g}', f'{value:.2f}']
        for what, found in (('weight', weights), ('temperature', taus))
        for setting, value in found.items()
    ]
    return ['BDD+LS, the reverse half', METRIC], rows


def other_table(trials: Trials, tuned: dict, found: dict) -> tuple[list, list]:
    """Resolution, teacher, optimiser: alone, KD and BDD+LS."""
    rows = []
    methods = ('alone', 'KD', 'BDD+LS', MAIN)
    for what, ending in (
        ('as tuned', None),
        ('compared at full resolution', 'full resolution'),
        ('teacher as small as the student', 'small teacher'),
        ('400 iterations', '400'),
        ('800 iterations', '800'),
        ('SGD at 0.02 for AdamW', 'SGD'),
    ):
        cells_of = []
        for method in methods:
            name = method if method == 'alone' else chosen_name(trials, method)
            value = tuned[name] if ending is None else found.get(f'{method}, {ending}')
            cells_of.append('' if value is None else f'{value:.2f}')
        rows.append([what, *cells_of])
    return ['', *methods], rows


def driver_figure(trials: Trials, tuned: dict, found: dict) -> Figure:
    """Temperature, weight, reverse half and length."""
    figure = Figure((WIDTH, 5.4), layout='constrained')
    (tau, weight), (reverse, length) = figure.subplots(2, 2)
    for method in ('KD', 'BDD', 'KD+LS', 'BDD+LS'):
        by_tau: dict[float, list[float]] = {}
        for name, loss in cells(method).items():
            by_tau.setdefault(loss['tau'], []).append(tuned[name])
        lines(tau, {t: [max(v)] for t, v in by_tau.items()}, method)
    title(tau, 'temperature, at the better weight', 'tau')
    for name, points in weights_of(trials, tuned, found).items():
        lines(weight, {w: [v] for w, v in points.items()}, name)
    title(weight, 'weight of the loss', 'weight')
    weights, taus = reverse_of(trials, tuned, found)
    lines(reverse, {w: [v] for w, v in weights.items()}, 'reverse weight')
    lines(reverse, {t: [v] for t, v in taus.items()}, 'reverse temperature')
    title(reverse, 'BDD+LS: the reverse half', 'weight or temperature')
    main = tuned[chosen_name(trials, MAIN)]
    for method, here in (('alone', tuned['alone']), (MAIN, main)):
        points = {TUNING_LENGTH: [here]}
        for steps in (400, 800):
            if f'{method}, {steps}' in found:
                points[steps] = [found[f'{method}, {steps}']]
        lines(length, points, method)
    title(length, 'length of the training', 'iterations')
    return figure


def title(axes: Axes, text: str, label: str) -> None:
    """The looks of a panel."""
    axes.set_xscale('log', base=2)
    axes.set_xticks(sorted({x for line in axes.lines for x in line.get_xdata()}))
    axes.xaxis.set_major_formatter(lambda value, _: f'{value:g}')
    axes.set(xlabel=label, ylabel=METRIC)
    axes.set_title(text, fontsize=9)
    axes.legend(frameon=False, fontsize=8)
    plain(axes)


def fidelity_of(trials: Trials, method: str, kind: str) -> list[float]:
    """A figure of each seed."""
    runs = trials.of('methods')[method]
    return [run['metrics'][f'fidelity/{kind}'] for run in runs.values()]


def fidelity_table(trials: Trials) -> tuple[list, list]:
    """Mean and standard deviation of each figure."""
    rows = [
        [m, *(spread(fidelity_of(trials, m, kind), digits=3) for kind in FIDELITY)]
        for m in METHODS
    ]
    return ['method', *FIDELITY.values()], rows


def fidelity_figure(trials: Trials) -> Figure:
    """What the papers claim: order, small probabilities, range."""
    kinds = 'rank_correlation', 'small_probability_error', 'std_ratio'
    figure = Figure((WIDTH, 2.7), layout='constrained')
    for axes, kind in zip(figure.subplots(1, 3, sharey=True), kinds, strict=True):
        for place, method in enumerate(METHODS):
            values = fidelity_of(trials, method, kind)
            axes.scatter(values, [place] * len(values), 18)
        axes.set_title(FIDELITY[kind], fontsize=9)
        axes.set_yticks(range(len(METHODS)), METHODS)
        axes.set_ylim(len(METHODS) - 0.5, -0.5)
        plain(axes)
    return figure


if __name__ == '__main__':
    # Where the trainings find variants.py.
    paths = str(Path(__file__).parent), os.environ.get('PYTHONPATH')
    os.environ['PYTHONPATH'] = os.pathsep.join(filter(None, paths))
    stages = [teachers, tuning, mends, methods, drivers]
    study(__doc__, Trials(PAGE.folder / 'trials.jsonl', WORK), stages, draw)
