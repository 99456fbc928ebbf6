"""Statistics of methods that are compared over pairs of equal seeds."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean
from typing import Any

import numpy as np

NONE = '-'  # cell without a value
SUMMARY_COLUMNS = ('runs', 'mean ± sd', 'difference', 'above', 'p', 'p (Holm)')


def summarize(
    values: Mapping[str, Mapping[int, float]], baseline: str | None
) -> list[dict[str, Any]]:
    r"""Return mean, deviation and paired difference to the baseline of each method.

    For the differences :math:`d_i` of n pairs of equal seeds, with mean
    :math:`\bar d`, ``p`` is the two-sided p value of a paired t-test,
    :math:`t = \bar d \sqrt n / sd(d)` with n - 1 degrees of freedom; ``p holm`` is
    corrected for the number of comparisons (Holm, 1979). Both are None for fewer than
    two pairs, or if all differences are equal.

    Args:
        values: Metric of the runs of each method, by seed.
        baseline: Method with which the others are compared; None for no comparison.

    Returns:
        Rows with ``config``, ``runs``, ``mean``, ``sd``, ``pairs``, ``difference``,
        ``difference sd``, ``above`` (number of pairs above the baseline), ``p`` and
        ``p holm``; unknown values are None.

    Example:
        >>> rows = summarize({'alone': {0: 20.0, 1: 21.0}, 'kd': {0: 22.0, 1: 22.5}},
        ...                  'alone')
        >>> rows[1]['difference'], rows[1]['above'], round(rows[1]['p'], 3)
        (1.75, 2, 0.09)
    """
    rows: list[dict[str, Any]] = []
    reference = {} if baseline is None else values[baseline]
    for name, runs in values.items():
        compared = baseline is not None and name != baseline
        shared = sorted(set(runs) & set(reference)) if compared else []
        pairs = [runs[seed] - reference[seed] for seed in shared]
        (level, sd), (difference, difference_sd) = map(
            mean_and_sd, (runs.values(), pairs)
        )
        rows.append(
            {
                'config': name,
                'runs': len(runs),
                'mean': level,
                'sd': sd,
                'pairs': len(pairs) if compared else None,
                'difference': difference,
                'difference sd': difference_sd,
                'above': sum(pair > 0 for pair in pairs) if compared else None,
                'p': paired_test(pairs),
            }
        )
    for row, corrected in zip(rows, holm([row['p'] for row in rows]), strict=True):
        row['p holm'] = corrected
    return rows


def mean_and_sd(values: Iterable[float]) -> tuple[float | None, float | None]:
    """Return mean and sample standard deviation, or None for too few values."""
    values = list(values)
    return (
        mean(values) if values else None,
        float(np.std(values, ddof=1)) if len(values) > 1 else None,
    )


def format_mean(
    value: float | None, sd: float | None, sign: str = '', digits: int = 2
) -> str:
    """Format a mean with its standard deviation."""
    if value is None:
        return NONE
    text = f'{value:{sign}.{digits}f}'
    return text if sd is None else f'{text} ± {sd:.{digits}f}'


def format_number(value: float | None, digits: int) -> str:
    """Format a number; one that would round to 0 is formatted as an upper bound."""
    if value is None:
        return NONE
    if digits and 0 < value < 0.5 * 10**-digits:
        return f'< {10**-digits:.{digits}f}'
    return f'{value:.{digits}f}'


def summary_cells(row: Mapping[str, Any]) -> list[str]:
    """Return a row of :func:`summarize` as text, ordered as ``SUMMARY_COLUMNS``."""
    return [
        str(row['runs']),
        format_mean(row['mean'], row['sd']),
        format_mean(row['difference'], row['difference sd'], '+'),
        f'{row["above"]} of {row["pairs"]}' if row['pairs'] else NONE,
        format_number(row['p'], 3),
        format_number(row['p holm'], 3),
    ]


def paired_test(differences: Sequence[float]) -> float | None:
    """Return the two-sided p value of a t-test that the mean difference is 0."""
    if len(differences) < 2 or np.ptp(differences) == 0:
        return None
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(differences, 0).pvalue)


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Correct p values for multiple comparisons (Holm); None values are ignored.

    The k-th smallest of m values (k from 0) is multiplied by m - k. Corrected values
    are at most 1 and never below that of a smaller p.

    Example:
        >>> holm([0.01, None, 0.03, 0.02])
        [0.03, None, 0.04, 0.04]

    Reference:
        Holm, A simple sequentially rejective multiple test procedure, 1979.
    """
    there = sorted((p, i) for i, p in enumerate(values) if p is not None)
    corrected: list[float | None] = [None] * len(values)
    largest = 0.0
    for k, (p, i) in enumerate(there):
        largest = max(largest, min(1.0, (len(there) - k) * p))
        corrected[i] = largest
    return corrected
