"""Tables and figures of a study's comparison of methods."""

from collections.abc import Mapping, Sequence
from statistics import mean

from matplotlib import colormaps
from matplotlib.figure import Figure

from mmkd.analysis.statistics import (
    SUMMARY_COLUMNS,
    format_mean,
    mean_and_sd,
    summarize,
    summary_cells,
)

from .page import WIDTH, Page, style
from .plan import Plan
from .trials import Trials

COLORS = [c for c in colormaps['tab10'].colors if len(set(c)) > 1]  # no gray
FIDELITY = {
    'agreement': 'agreement',
    'forward_kl': 'KL(teacher \\|\\| student)',
    'reverse_kl': 'KL(student \\|\\| teacher)',
    'rank_correlation': 'rank correlation',
    'small_probability_error': 'error of small probabilities',
    'std_ratio': 'std ratio',
    'ece': 'calibration error',
}
Values = Mapping[str, Mapping[int, float]]  # metric by method and seed
Runs = Mapping[str, Mapping[int, Mapping]]  # records by method and seed


def draw_comparison(
    page: Page, trials: Trials, plan: Plan, reference: str, label: str, axis: str
) -> None:
    """Insert settings, comparison and fidelity of the students into the page.

    Args:
        page: The page.
        trials: Finished trials.
        plan: Plan of the study.
        reference: Method with which the others are compared, besides the baseline.
        label: Name of the metric in a table.
        axis: Name of the metric in a figure.
    """
    page.fill('tuning', *plan.tuned(trials).table(label))
    values = trials.values('methods', plan.metric)
    values = {method: values[method] for method in ('baseline', *plan.grids)}
    page.fill('methods', *comparison_table(values, 'baseline', label))
    others = [method for method in plan.grids if method != reference]
    against = {method: values[method] for method in (reference, *others)}
    page.fill('against', *comparison_table(against, reference, label))
    text = 'Each run as a dot, the mean of each method as a line'
    page.save('methods', draw_methods(values, axis), text)
    insert_fidelity(page, trials.of('methods'), list(plan.grids))


def comparison_table(
    values: Values, reference: str, metric: str
) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows of the table of methods and differences to one method."""
    columns = ['method', 'runs', metric, f'difference to {reference}']
    rows = [[r['config'], *summary_cells(r)] for r in summarize(values, reference)]
    return [*columns, *SUMMARY_COLUMNS[3:]], rows


def draw_methods(values: Values, metric: str) -> Figure:
    """Draw runs as dots and means as lines; that of the first method spans the axes."""
    # Imported here, after import warnings are silenced.
    from mmkd.analysis.figures import draw_runs

    figure = Figure((WIDTH, 0.9 + 0.36 * len(values)), layout='constrained')
    axes = figure.subplots()
    colors = ['0.5', *COLORS * len(values)]
    for row, (runs, color) in enumerate(zip(values.values(), colors, strict=False)):
        draw_runs(axes, row, runs.values(), color)
    first = next(iter(values.values()))
    axes.axvline(mean(first.values()), color='0.7', lw=1, ls='--', zorder=1)
    axes.set(xlabel=metric, ylim=(len(values) - 0.4, -0.8))
    axes.set_yticks(range(len(values)), values)
    style(axes)
    return figure


def insert_fidelity(page: Page, runs: Runs, methods: Sequence[str]) -> None:
    """Insert table and figure of the fidelity metrics into the page."""
    page.fill('fidelity', *fidelity_table(runs, methods))
    text = 'Rank correlation, error of small probabilities, standard deviations'
    page.save('fidelity', draw_fidelity(runs, methods), text)


def fidelity_of(runs: Runs, method: str, kind: str) -> list[float]:
    """Return a fidelity metric for each seed."""
    return [run['metrics'][f'fidelity/{kind}'] for run in runs[method].values()]


def fidelity_table(runs: Runs, methods: Sequence[str]) -> tuple[list, list]:
    """Return columns and rows of the table of fidelity metrics, mean and deviation."""
    rows = [
        [m]
        + [
            format_mean(*mean_and_sd(fidelity_of(runs, m, kind)), digits=3)
            for kind in FIDELITY
        ]
        for m in methods
    ]
    return ['method', *FIDELITY.values()], rows


def draw_fidelity(runs: Runs, methods: Sequence[str]) -> Figure:
    """Draw the metrics of the papers' claims: ranks, small probabilities, range."""
    kinds = 'rank_correlation', 'small_probability_error', 'std_ratio'
    figure = Figure((WIDTH, 2.7), layout='constrained')
    for axes, kind in zip(figure.subplots(1, 3, sharey=True), kinds, strict=True):
        for row, method in enumerate(methods):
            values = fidelity_of(runs, method, kind)
            axes.scatter(values, [row] * len(values), 18)
        axes.set_title(FIDELITY[kind], fontsize=9)
        axes.set_yticks(range(len(methods)), methods)
        axes.set_ylim(len(methods) - 0.5, -0.5)
        style(axes)
    return figure
