"""Fill the table of most studies' results in docs/choose_a_method.md.

python -m studies.summary
"""

from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from mmkd.analysis.statistics import NONE, summarize
from studies.camvid.plan import PLAN as CAMVID
from studies.camvid_400.trainings import PLAN as CAMVID_400
from studies.camvid_class_balance.ablation import CLASS_WEIGHTS, compared_scores
from studies.camvid_class_balance.plan import PLAN as CLASS_BALANCE
from studies.camvid_page import equal_time
from studies.camvid_plan import BASELINE, METRIC, group_of
from studies.equal_time import gain_cell, values_of
from studies.omniglot.trainings import PLAN as OMNIGLOT
from studies.page import Page
from studies.plan import Plan

PAGE = Path('docs/choose_a_method.md')


class Column(NamedTuple):
    """Column of the table.

    Args:
        title: Its title.
        baseline: Result of the baseline.
        gains: Difference to it of each method.
    """

    title: str
    baseline: str
    gains: Mapping[str, str]


def compared(title: str, plan: Plan) -> Column:
    """Return the column of a comparison over several seeds."""
    values = plan.trials.values('methods', plan.metric)
    ordered = {m: values[m] for m in (BASELINE, *plan.grids)}
    alone, *others = summarize(ordered, BASELINE)
    gains = {row['config'].replace(', CWD', ' + CWD'): gain_cell(row) for row in others}
    return Column(title, f'{alone["mean"]:.2f}', gains)


def single(title: str) -> Column:
    """Return the column of the single runs of the study of class balancing."""
    alone, scores = compared_scores(CLASS_BALANCE.trials)
    gains = {name: f'{score - alone:+.2f}' for name, score in scores.items()}
    return Column(title, f'{alone:.2f}', gains)


def with_class_weights() -> list[Column]:
    """Return the columns with class weights, at equal iterations and equal time."""
    trials, length = CAMVID.trials, CAMVID.lengths[-1]
    runs, long = (trials.of(group_of(n)) for n in (length, 2 * length))
    pairs = equal_time(trials).compare(runs, long, CAMVID.chosen(trials))
    plain, equal = (
        {row['config']: gain_cell(row) for row in rows}
        for rows in zip(*pairs, strict=True)
    )
    baseline = mean(values_of(runs, METRIC)[BASELINE].values())
    title = f'CamVid, class weights, {length:,} iterations'
    return [
        Column(title, f'{baseline:.2f}', plain),
        Column('the same, at equal time', NONE, equal),
    ]


def summary_table() -> tuple[list, list]:
    """Return columns and rows of the table."""
    columns = [
        *with_class_weights(),
        compared('CamVid, 400 iterations', CAMVID_400),
        single('CamVid, 1,600 iterations, one run'),
        compared('Omniglot, top-1, 20 epochs', OMNIGLOT),
    ]
    names = [name for column in columns for name in column.gains]
    methods = dict.fromkeys([CLASS_WEIGHTS, *names])
    rows = [[BASELINE, *(column.baseline for column in columns)]]
    rows += [
        [method, *(column.gains.get(method, NONE) for column in columns)]
        for method in methods
    ]
    return ['method', *(column.title for column in columns)], rows


def main() -> None:
    """Fill the table."""
    Page(PAGE).fill('summary', *summary_table())


if __name__ == '__main__':
    main()
