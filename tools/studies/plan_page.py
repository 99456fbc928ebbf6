"""The tables and figures that every study's page has."""

from fidelity import draw_fidelity
from page import DOTS, Page, comparison, dots
from plan import Plan

from mmkd.analysis.trials import Trials


def draw_plan(
    page: Page, trials: Trials, plan: Plan, main: str, label: str, axis: str
) -> None:
    """Fills in the settings, the comparison and what it says of fidelity.

    Args:
        page: The page.
        trials: Those that are done.
        plan: The study's.
        main: The method that the others are compared with, too.
        label: What the metric is called in a table.
        axis: What it is called in a figure.
    """
    page.fill('tuning', *plan.tuned(trials).table(label))
    values = trials.values('methods', plan.metric)
    order = ['alone', *plan.grids]
    values = {method: values[method] for method in order}
    page.fill('methods', *comparison(values, 'alone', label))
    others = [method for method in plan.grids if method != main]
    against = {method: values[method] for method in (main, *others)}
    page.fill('against', *comparison(against, main, label))
    page.save('methods', dots(values, axis), DOTS)
    draw_fidelity(page, trials, list(plan.grids))
