"""Tables and figures of the CamVid studies' pages."""

from collections.abc import Mapping, Sequence
from statistics import mean

from .camvid_plan import BASELINE, METRIC, UNWEIGHTED, CamVidPlan, group_of
from .comparison import comparison_table, insert_fidelity
from .equal_time import EqualTime, seconds_of, values_of
from .grid import single_runs
from .page import Page
from .trials import Trials


def class_table(
    runs: Mapping[str, Mapping[int, dict]], methods: Sequence[str]
) -> tuple[list, list]:
    """Return columns and rows of the table of mean IoUs of each class.

    Args:
        runs: Records of a group, by method and seed.
        methods: Methods in the order of the columns.
    """
    classes = list(next(iter(runs[methods[0]].values()))['classes'])
    rows = []
    for name in classes:
        per_method = ([r['classes'][name] for r in runs[m].values()] for m in methods)
        rows.append([name, *(f'{mean(values):.1f}' for values in per_method)])
    return ['class', *methods], rows


def draw_settings(page: Page, trials: Trials, plan: CamVidPlan) -> None:
    """Insert class weights, pair and settings into the page."""
    powers = single_runs(trials, 'weighting', METRIC).items()
    page.fill('weighting', ['power', METRIC], [[p, f'{v:.2f}'] for p, v in powers])
    page.fill('pair', *pair_table(trials))
    page.fill('tuning', *plan.tuned(trials).table(METRIC))


def draw_camvid_comparison(page: Page, trials: Trials, plan: CamVidPlan) -> None:
    """Insert the settings, the comparisons and the fidelity into the page."""
    draw_settings(page, trials, plan)
    groups = {n: trials.of(group_of(n)) for n in plan.all_lengths}
    equal = equal_time(trials)
    compared = [UNWEIGHTED, *plan.chosen(trials)]
    for n in plan.lengths:
        runs, long = groups[n], groups[2 * n]
        methods = [method for method in compared if method in runs]
        page.fill(group_of(n), *equal.table(runs, long, methods))
    page.fill('gains', *equal.gains(groups, plan.lengths, compared))
    text = f'{METRIC} against the time of a training, a line for each method'
    page.save('time', equal.draw(groups, compared), text)
    runs = groups[plan.lengths[-1]]
    best, *others = plan.ranked(trials)
    against = {method: values_of(runs, METRIC)[method] for method in (best, *others)}
    page.fill('against', *comparison_table(against, best, METRIC))
    page.fill('classes', *class_table(runs, [BASELINE, *plan.chosen(trials)]))
    insert_fidelity(page, runs, plan.chosen(trials))


def equal_time(trials: Trials) -> EqualTime:
    """Return the comparison at equal time, with the measured times."""
    return EqualTime(BASELINE, seconds_of(trials.of('times')), METRIC)


def pair_table(trials: Trials) -> tuple[list, list]:
    """Return columns and rows of the table of baselines and teacher, held-out data."""
    found = single_runs(trials, 'pair', METRIC)
    rows = [[f'baseline, {n}', f'{found[n]:.2f}'] for n in sorted(found, key=int)]
    for runs in trials.values('teachers', METRIC).values():
        rows.append(['teacher', f'{runs[0]:.2f}'])
    return ['iterations', METRIC], rows
