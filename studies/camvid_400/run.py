"""Run the CamVid study of 400 iterations: all trainings and all numbers of its page.

python -m studies.camvid_400.run --jobs 2

Runs the trainings that are missing in trials.jsonl and records them there; rerun it to
resume after an interruption. The settings of the methods are selected with the trials
of the group `tuning`, which do not use the validation set. Finally the tables and
figures of the page are redrawn; with --draw nothing is trained.
"""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from studies.camvid_400.methods import COMBINED, GRIDS
from studies.camvid_400.trainings import (
    HEAVY,
    PLAN,
    STAGES,
    TUNING_LENGTH,
    VARIANTS,
)
from studies.camvid_page import class_table
from studies.camvid_plan import METRIC
from studies.comparison import draw_comparison
from studies.grid import Tuning, single_runs
from studies.page import WIDTH, Page, draw_line, style_log_axis
from studies.plan import run_study
from studies.trials import Trials


def draw(trials: Trials) -> None:
    """Fill the page."""
    page = Page(PLAN.folder / 'README.md')
    axis = 'mIoU on the 101 validation images'
    draw_comparison(page, trials, PLAN, COMBINED, METRIC, axis)
    page.fill('classes', *class_table(trials.of('methods'), ['baseline', *GRIDS]))
    tuned = PLAN.tuned(trials)
    found = single_runs(trials, 'ablation', METRIC)
    page.fill('recipe', *recipe_table(single_runs(trials, 'recipe', METRIC), found))
    scores = single_runs(trials, 'variants', METRIC)
    page.fill('variants', *variant_table(tuned, scores))
    page.fill('weights', *weight_table(tuned, found))
    page.fill('reverse', *reverse_table(tuned, found))
    page.fill('others', *other_table(tuned, found))
    text = 'Temperature, weight, reverse KL and the length of the training'
    page.save('ablation', draw_ablation(tuned, found), text)


def recipe_table(found: dict, ablation: dict) -> tuple[list, list]:
    """Return columns and rows of the table of baselines by optimizer."""
    scores = found | {'AdamW at 0.005': ablation['baseline, 400']}
    rows = [[name, f'{score:.2f}'] for name, score in scores.items()]
    return ['optimizer', f'{METRIC}, baseline'], rows


def variant_table(tuned: Tuning, found: dict) -> tuple[list, list]:
    """Return columns and rows of the table of BDD+LS and its variants."""
    score = tuned.scores['BDD+LS, tau 0.5, weight 8']
    rows = [['as published: std of the pixel, warm-up, weight 8', f'{score:.2f}']]
    rows += [[name, f'{found[name]:.2f}'] for name in VARIANTS]
    return ['BDD+LS, tau 0.5', METRIC], rows


def weight_table(tuned: Tuning, found: dict) -> tuple[list, list]:
    """Return columns and rows of the table of the metric at each weight."""
    points = scores_by_weight(tuned, found)
    weights = sorted({weight for each in points.values() for weight in each})
    rows = [
        [method, *(f'{each[w]:.2f}' if w in each else '' for w in weights)]
        for method, each in points.items()
    ]
    return ['weight', *(f'{w:g}' for w in weights)], rows


def scores_by_weight(tuned: Tuning, found: dict) -> dict[str, dict[float, float]]:
    """Return the metric at each weight, at the best temperature of each method."""
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


def scores_by_reverse(tuned: Tuning, found: dict) -> tuple[dict, dict]:
    """Return the metric by reverse weight, and by reverse temperature."""
    tau = tuned.best('BDD+LS')['tau']
    score = tuned.scores[tuned.chosen('BDD+LS')]
    weights = {w: found[f'reverse weight {w:g}'] for w in (0.25, 4.0)} | {1.0: score}
    taus = {tau: score, 2 * tau: found[f'reverse tau {2 * tau:g}']}
    return dict(sorted(weights.items())), taus


def reverse_table(tuned: Tuning, found: dict) -> tuple[list, list]:
    """Return columns and rows of the table of reverse weights and temperatures."""
    weights, taus = scores_by_reverse(tuned, found)
    rows = [
        [f'{what} {setting:g}', f'{value:.2f}']
        for what, scores in (('weight', weights), ('temperature', taus))
        for setting, value in scores.items()
    ]
    return ['BDD+LS, reverse KL', METRIC], rows


def other_table(tuned: Tuning, found: dict) -> tuple[list, list]:
    """Return columns and rows of the table of resolutions, teachers and lengths."""
    rows = []
    methods = ('baseline', 'KD', 'BDD+LS', COMBINED)
    names = ['baseline', *(tuned.chosen(method) for method in methods[1:])]
    found = found | {m: tuned.scores[n] for m, n in zip(methods, names, strict=True)}
    for what, ending in (
        ('as tuned', ''),
        ('compared at full resolution', ', full resolution'),
        ('teacher as small as the student', ', small teacher'),
        ('400 iterations', ', 400'),
        ('800 iterations', ', 800'),
        ('SGD at 0.02 instead of AdamW', ', SGD'),
    ):
        values = [found.get(f'{method}{ending}') for method in methods]
        rows.append([what, *('' if v is None else f'{v:.2f}' for v in values)])
    return ['', *methods], rows


def draw_ablation(tuned: Tuning, found: dict) -> Figure:
    """Draw the effects of temperature, weight, reverse KL and length."""
    figure = Figure((WIDTH, 5.4), layout='constrained')
    (tau, weight), (reverse, length) = figure.subplots(2, 2)
    for method in ('KD', 'BDD', 'KD+LS', 'BDD+LS'):
        by_tau: dict[float, float] = {}
        for name, loss in GRIDS[method].cells(method).items():
            best = max(by_tau.get(loss['tau'], 0.0), tuned.scores[name])
            by_tau[loss['tau']] = best
        draw_line(tau, by_tau, method)
    label(tau, 'temperature, at the better weight', 'tau')
    for name, points in scores_by_weight(tuned, found).items():
        draw_line(weight, points, name)
    label(weight, 'weight of the loss', 'weight')
    weights, taus = scores_by_reverse(tuned, found)
    draw_line(reverse, weights, 'reverse weight')
    draw_line(reverse, taus, 'reverse temperature')
    label(reverse, 'BDD+LS: reverse KL', 'weight or temperature')
    for method, name in (('baseline', 'baseline'), (COMBINED, tuned.chosen(COMBINED))):
        points = {TUNING_LENGTH: tuned.scores[name]}
        for steps in (400, 800):
            if f'{method}, {steps}' in found:
                points[steps] = found[f'{method}, {steps}']
        draw_line(length, points, method)
    label(length, 'length of the training', 'iterations')
    return figure


def label(axes: Axes, title: str, xlabel: str) -> None:
    """Style and label a panel."""
    style_log_axis(axes)
    axes.set(xlabel=xlabel, ylabel=METRIC)
    axes.set_title(title, fontsize=9)


if __name__ == '__main__':
    run_study(__doc__, PLAN.trials, STAGES, draw)
