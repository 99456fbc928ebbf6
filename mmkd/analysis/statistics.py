"""Several runs of several methods, compared in pairs of equal seeds."""

from collections.abc import Mapping, Sequence
from statistics import mean

import numpy as np


def summarize(
    values: Mapping[str, Mapping[int, float]], baseline: str | None
) -> list[dict[str, object]]:
    r"""One row a method: mean and spread, and the paired difference to the baseline.

    For the differences :math:`d_i` of n pairs of equal seeds, ``p`` is two-sided, from
    the paired t-test: :math:`t = \bar d \sqrt n / sd(d)` with n - 1 degrees of freedom;
    ``p holm`` is corrected for as many comparisons as there are (Holm, 1979). Both
    are None with fewer than two pairs, or where all differences are equal.

    Args:
        values: The metric of each method's runs, by seed.
        baseline: The method that the others are compared with; None for no comparison.

    Returns:
        Rows with ``config``, ``runs``, ``mean``, ``sd``, ``pairs``, ``difference``,
        ``difference sd``, ``above`` (pairs above the baseline), ``p``, ``p holm``; None
        for what there is not.

    Example:
        >>> rows = summarize({'alone': {0: 20.0, 1: 21.0}, 'kd': {0: 22.0, 1: 22.5}},
        ...                  'alone')
        >>> rows[1]['difference'], rows[1]['above'], round(rows[1]['p'], 3)
        (1.75, 2, 0.09)
    """
    rows = []
    for name, runs in values.items():
        compared = baseline is not None and name != baseline
        shared = sorted(set(runs) & set(values[baseline])) if compared else []
        pairs = [runs[seed] - values[baseline][seed] for seed in shared]
        rows.append(
            {
                'config': name,
                'runs': len(runs),
                'mean': mean(runs.values()) if runs else None,
                'sd': stdev(list(runs.values())) if len(runs) > 1 else None,
                'pairs': len(pairs) if compared else None,
                'difference': mean(pairs) if pairs else None,
                'difference sd': stdev(pairs) if len(pairs) > 1 else None,
                'above': sum(pair > 0 for pair in pairs) if compared else None,
                'p': paired_test(pairs),
            }
        )
    for row, corrected in zip(rows, holm([row['p'] for row in rows]), strict=True):
        row['p holm'] = corrected
    return rows


def stdev(values: Sequence[float]) -> float:
    """The sample standard deviation; NaN where a value is."""
    return float(np.std(values, ddof=1))


def paired_test(differences: Sequence[float]) -> float | None:
    """The two-sided p of a t-test that the differences are 0 on average."""
    if len(differences) < 2 or stdev(differences) == 0:
        return None
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(differences, 0).pvalue)


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Corrects p values for their number; None stays None and does not count.

    The k-th smallest of m, counted from 0, is multiplied by m - k; none is below those
    before it, or above 1.

    Example:
        >>> holm([0.01, None, 0.03, 0.02])
        [0.03, None, 0.04, 0.04]

    Reference:
        Holm, A simple sequentially rejective multiple test procedure, 1979.
    """
    there = sorted((p, i) for i, p in enumerate(values) if p is not None)
    corrected, largest = [None] * len(values), 0.0
    for k, (p, i) in enumerate(there):
        largest = max(largest, min(1.0, (len(there) - k) * p))
        corrected[i] = largest
    return corrected
