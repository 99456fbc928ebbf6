"""The Omniglot study: every training and every number of docs/studies/omniglot.md

python tools/studies/omniglot.py --jobs 2

Trains what docs/studies/omniglot/trials.jsonl does not have yet, and writes it there; a
study that is stopped goes on where it was. The methods' settings come from the trials
of the group `tuning`, which see nothing of the test set. Then the page's tables and
figures are drawn anew; with --draw that is all.
"""

from pathlib import Path

from studies.grid import Tuning, only_runs
from matplotlib.figure import Figure
from studies.omniglot.trainings import LONGER, METRIC, PLAN, longer, recipe, warmed
from studies.page import WIDTH, Page, lines, plain, study, ticks
from plan_page import draw_plan

from studies.trials import Trials

PAGE = Page(Path('docs/studies/omniglot.md'))


def draw(trials: Trials) -> None:
    """Fills the page."""
    tuned = PLAN.tuned(trials)
    axis = 'top-1 accuracy on the 936 test images, %'
    draw_plan(PAGE, trials, PLAN, 'KD+LS', 'top-1, %', axis)
    PAGE.fill('recipe', *recipe_table(tuned, only_runs(trials, 'recipe', METRIC)))
    text = 'Accuracy against the weight of plain and of standardised losses'
    PAGE.save('weights', weight_figure(tuned), text)
    PAGE.fill('warmed', *warm_table(tuned, only_runs(trials, 'warmed', METRIC)))
    PAGE.fill('longer', *length_table(tuned, only_runs(trials, 'longer', METRIC)))


def recipe_table(tuned: Tuning, found: dict) -> tuple[list, list]:
    """The student alone by the size of its batches."""
    scores = found | {'16, as in the config': tuned.scores['alone']}
    rows = [[size, f'{score:.2f}'] for size, score in scores.items()]
    return ['images in a batch', 'alone, top-1, %'], rows


def weight_figure(tuned: Tuning) -> Figure:
    """A panel for the plain and one for the standardised losses."""
    figure = Figure((WIDTH, 2.8), layout='constrained')
    plain_losses, standardised = figure.subplots(1, 2, sharey=True)
    for axes, shown in (
        (plain_losses, ('KD', 'BDD')),
        (standardised, ('KD+LS', 'BDD+LS', 'MLKD+LS')),
    ):
        for method in shown:
            points: dict[float, dict[float, float]] = {}
            for name, loss in tuned.grids[method].cells(method).items():
                at = points.setdefault(loss['tau'], {})
                at[loss['loss_weight']] = tuned.scores[name]
            for tau, found in points.items():
                lines(axes, found, f'{method}, tau {tau:g}')
        ticks(axes)
        axes.set(xlabel='weight')
        axes.legend(frameon=False, fontsize=8)
        plain(axes)
    plain_losses.set(ylabel='top-1, %')
    return figure


def warm_table(tuned: Tuning, found: dict) -> tuple[list, list]:
    """The metric of what is not warmed up, and is."""
    rows = [
        [name, f'{tuned.scores[name]:.2f}', f'{score:.2f}']
        for name, score in found.items()
    ]
    return ['method', 'as tuned', '400 iterations of warm-up'], rows


def length_table(tuned: Tuning, found: dict) -> tuple[list, list]:
    """The metric of what is trained for 20 and for 40 epochs."""
    names = {'alone': 'alone'} | {method: tuned.chosen(method) for method in LONGER}
    rows = [
        [method, f'{tuned.scores[name]:.2f}', f'{found[method]:.2f}']
        for method, name in names.items()
    ]
    return ['method', '20 epochs', '40 epochs'], rows


if __name__ == '__main__':
    stages = [PLAN.teachers, recipe, PLAN.tuning, PLAN.methods, warmed, longer]
    study(__doc__, Trials(PAGE.folder / 'trials.jsonl', PLAN.work), stages, draw)
