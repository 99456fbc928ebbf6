"""Run the Omniglot study: all trainings and all numbers of its README.md.

python -m studies.omniglot.run --jobs 2

Runs the trainings that are missing in trials.jsonl and records them there; rerun it to
resume after an interruption. The settings of the methods are selected with the trials
of the group `tuning`, which do not use the test set. Finally the tables and figures of
the page are redrawn; with --draw nothing is trained.
"""

from matplotlib.figure import Figure

from studies.comparison import comparison_table, draw_comparison
from studies.grid import Tuning, single_runs
from studies.omniglot.trainings import (
    BASELINE,
    COMPARED,
    LENGTHS,
    LONGER,
    METRIC,
    PLAN,
    STAGES,
    group_of,
)
from studies.page import WIDTH, Page, draw_line, style_log_axis
from studies.plan import run_study
from studies.trials import Trials


def draw(trials: Trials) -> None:
    """Fill the page."""
    page, tuned = Page(PLAN.folder / 'README.md'), PLAN.tuned(trials)
    axis = 'top-1 accuracy on the 936 test images, %'
    draw_comparison(page, trials, PLAN, 'KD+LS', 'top-1, %', axis)
    page.fill('recipe', *recipe_table(tuned, single_runs(trials, 'recipe', METRIC)))
    text = 'Accuracy against the weight of plain and of standardized losses'
    page.save('weights', draw_weights(tuned), text)
    page.fill('warmup', *warmup_table(tuned, single_runs(trials, 'warmup', METRIC)))
    page.fill('longer', *longer_table(tuned, single_runs(trials, 'longer', METRIC)))
    for epochs in LENGTHS:
        values = trials.values(group_of(epochs), METRIC)
        values = {method: values[method] for method in (BASELINE, *COMPARED)}
        table = comparison_table(values, BASELINE, 'top-1, %')
        page.fill(group_of(epochs), *table)


def recipe_table(tuned: Tuning, found: dict) -> tuple[list, list]:
    """Return columns and rows of the table of baselines by batch size."""
    scores = found | {'16, as in the config': tuned.scores['baseline']}
    rows = [[size, f'{score:.2f}'] for size, score in scores.items()]
    return ['batch size', 'baseline, top-1, %'], rows


def draw_weights(tuned: Tuning) -> Figure:
    """Draw one panel of the plain losses and one of the standardized losses."""
    figure = Figure((WIDTH, 2.8), layout='constrained')
    plain, standardized = figure.subplots(1, 2, sharey=True)
    for axes, shown in (
        (plain, ('KD', 'BDD')),
        (standardized, ('KD+LS', 'BDD+LS', 'MLKD+LS')),
    ):
        for method in shown:
            points: dict[float, dict[float, float]] = {}
            for name, loss in tuned.grids[method].cells(method).items():
                at = points.setdefault(loss['tau'], {})
                at[loss['loss_weight']] = tuned.scores[name]
            for tau, found in points.items():
                draw_line(axes, found, f'{method}, tau {tau:g}')
        style_log_axis(axes)
        axes.set(xlabel='weight')
    plain.set(ylabel='top-1, %')
    return figure


def warmup_table(tuned: Tuning, found: dict) -> tuple[list, list]:
    """Return columns and rows of the table of the metric without and with warm-up."""
    rows = [
        [name, f'{tuned.scores[name]:.2f}', f'{score:.2f}']
        for name, score in found.items()
    ]
    return ['method', 'as tuned', '400 iterations of warm-up'], rows


def longer_table(tuned: Tuning, found: dict) -> tuple[list, list]:
    """Return columns and rows of the table of the metric after 20 and 40 epochs."""
    names = {'baseline': 'baseline'} | {m: tuned.chosen(m) for m in LONGER}
    rows = [
        [method, f'{tuned.scores[name]:.2f}', f'{found[method]:.2f}']
        for method, name in names.items()
    ]
    return ['method', '20 epochs', '40 epochs'], rows


if __name__ == '__main__':
    run_study(__doc__, PLAN.trials, STAGES, draw)
