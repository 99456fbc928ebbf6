"""The CamVid study: every training and every number of docs/studies/camvid.md

python tools/studies/camvid.py --jobs 2

Trains what docs/studies/camvid/trials.jsonl does not have yet, and writes it there; a
study that is stopped goes on where it was. The methods' settings come from the trials
of the group `tuning`, which see nothing of the validation set. Then the page's tables
and figures are drawn anew; with --draw that is all.
"""

import os
from pathlib import Path

from camvid_page import draw_comparison
from studies.camvid_plan import GRIDS, MAIN, METRIC
from studies.camvid.trainings import (
    HEAVY,
    MENDS,
    SMALL,
    TUNING_LENGTH,
    drivers,
    mends,
    recipe,
    teachers,
)
from studies.grid import Tuning, only_runs
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from studies.page import WIDTH, Page, lines, plain, study, ticks

from studies.trials import Trials

PAGE = Page(Path('docs/studies/camvid.md'))


def draw(trials: Trials) -> None:
    """Fills the page."""
    draw_comparison(PAGE, trials, SMALL)
    tuned = SMALL.tuned(trials)
    found = only_runs(trials, 'drivers', METRIC)
    PAGE.fill('recipe', *recipe_table(only_runs(trials, 'recipe', METRIC), found))
    PAGE.fill('mends', *mend_table(tuned, only_runs(trials, 'mends', METRIC)))
    PAGE.fill('weights', *weight_table(tuned, found))
    PAGE.fill('reverse', *reverse_table(tuned, found))
    PAGE.fill('others', *other_table(tuned, found))
    text = 'Temperature, weight, the reverse half and the length of the training'
    PAGE.save('drivers', driver_figure(tuned, found), text)


def recipe_table(found: dict, drivers: dict) -> tuple[list, list]:
    """The student alone by its optimiser."""
    scores = found | {'AdamW at 0.005': drivers['alone, 400']}
    rows = [[name, f'{score:.2f}'] for name, score in scores.items()]
    return ['optimiser', f'{METRIC}, alone'], rows


def mend_table(tuned: Tuning, found: dict) -> tuple[list, list]:
    """BDD+LS as LSKD has it, and each other way."""
    score = tuned.scores['BDD+LS, tau 0.5, weight 8']
    rows = [['as LSKD: per pixel, warm-up, weight 8', f'{score:.2f}']]
    rows += [[name, f'{found[name]:.2f}'] for name in MENDS]
    return ['BDD+LS, tau 0.5', METRIC], rows


def weight_table(tuned: Tuning, found: dict) -> tuple[list, list]:
    """The metric at each weight, at the method's best temperature."""
    points = weights_of(tuned, found)
    weights = sorted({weight for each in points.values() for weight in each})
    rows = [
        [method, *(f'{each[w]:.2f}' if w in each else '' for w in weights)]
        for method, each in points.items()
    ]
    return ['weight', *(f'{w:g}' for w in weights)], rows


def weights_of(tuned: Tuning, found: dict) -> dict[str, dict[float, float]]:
    """The same as numbers."""
    points = {}
    for method, heavy in HEAVY.items():
        tau = tuned.best(method)['tau']
        grid = {
            loss['loss_weight']: tuned.scores[name]
            for name, loss in GRIDS[method].cells(method).items()
            if loss['tau'] == tau
        }
        more = {w: found[f'{method}, weight {w:g}'] for w in heavy}
        points[f'{method}, tau {tau:g}'] = grid | more
    return points


def reverse_of(tuned: Tuning, found: dict) -> tuple[dict, dict]:
    """The metric by reverse weight, and by the reverse half's temperature."""
    main = tuned.best('BDD+LS')
    here = tuned.scores[tuned.chosen('BDD+LS')]
    weights = {1.0: here}
    weights |= {w: found[f'reverse weight {w:g}'] for w in (0.25, 4.0)}
    taus = {main['tau']: here}
    tau = 2 * main['tau']
    taus[tau] = found[f'reverse tau {tau:g}']
    return dict(sorted(weights.items())), dict(sorted(taus.items()))


def reverse_table(tuned: Tuning, found: dict) -> tuple[list, list]:
    """What weight and temperature of the reverse half do."""
    weights, taus = reverse_of(tuned, found)
    rows = [
        [f'{what} {setting:g}', f'{value:.2f}']
        for what, found in (('weight', weights), ('temperature', taus))
        for setting, value in found.items()
    ]
    return ['BDD+LS, the reverse half', METRIC], rows


def other_table(tuned: Tuning, found: dict) -> tuple[list, list]:
    """Resolution, teacher, optimiser: alone, KD and BDD+LS."""
    rows = []
    methods = ('alone', 'KD', 'BDD+LS', MAIN)
    names = ['alone', *(tuned.chosen(method) for method in methods[1:])]
    found = found | {m: tuned.scores[n] for m, n in zip(methods, names, strict=True)}
    for what, ending in (
        ('as tuned', ''),
        ('compared at full resolution', ', full resolution'),
        ('teacher as small as the student', ', small teacher'),
        ('400 iterations', ', 400'),
        ('800 iterations', ', 800'),
        ('SGD at 0.02 for AdamW', ', SGD'),
    ):
        values = [found.get(f'{method}{ending}') for method in methods]
        rows.append([what, *('' if v is None else f'{v:.2f}' for v in values)])
    return ['', *methods], rows


def driver_figure(tuned: Tuning, found: dict) -> Figure:
    """Temperature, weight, reverse half and length."""
    figure = Figure((WIDTH, 5.4), layout='constrained')
    (tau, weight), (reverse, length) = figure.subplots(2, 2)
    for method in ('KD', 'BDD', 'KD+LS', 'BDD+LS'):
        by_tau: dict[float, float] = {}
        for name, loss in GRIDS[method].cells(method).items():
            best = max(by_tau.get(loss['tau'], 0.0), tuned.scores[name])
            by_tau[loss['tau']] = best
        lines(tau, by_tau, method)
    title(tau, 'temperature, at the better weight', 'tau')
    for name, points in weights_of(tuned, found).items():
        lines(weight, points, name)
    title(weight, 'weight of the loss', 'weight')
    weights, taus = reverse_of(tuned, found)
    lines(reverse, weights, 'reverse weight')
    lines(reverse, taus, 'reverse temperature')
    title(reverse, 'BDD+LS: the reverse half', 'weight or temperature')
    main = tuned.scores[tuned.chosen(MAIN)]
    for method, here in (('alone', tuned.scores['alone']), (MAIN, main)):
        points = {TUNING_LENGTH: here}
        for steps in (400, 800):
            if f'{method}, {steps}' in found:
                points[steps] = found[f'{method}, {steps}']
        lines(length, points, method)
    title(length, 'length of the training', 'iterations')
    return figure


def title(axes: Axes, text: str, label: str) -> None:
    """The looks of a panel."""
    ticks(axes)
    axes.set(xlabel=label, ylabel=METRIC)
    axes.set_title(text, fontsize=9)
    axes.legend(frameon=False, fontsize=8)
    plain(axes)


if __name__ == '__main__':
    # Where the trainings find variants.py.
    paths = str(Path(__file__).parent), os.environ.get('PYTHONPATH')
    os.environ['PYTHONPATH'] = os.pathsep.join(filter(None, paths))
    stages = [teachers, recipe, SMALL.tuning, mends, SMALL.methods, drivers]
    study(__doc__, Trials(PAGE.folder / 'trials.jsonl', SMALL.work), stages, draw)
