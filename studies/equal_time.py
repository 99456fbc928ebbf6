"""Comparison of methods with a baseline that is trained for the same time."""

from collections.abc import Mapping, Sequence
from math import log2
from statistics import mean, median
from typing import Any

from matplotlib.figure import Figure

from mmkd.analysis.statistics import (
    NONE,
    SUMMARY_COLUMNS,
    format_mean,
    mean_and_sd,
    summarize,
    summary_cells,
)

from .comparison import COLORS, Runs, Values
from .page import WIDTH, style

COLUMNS = ('method', 'runs', 'mIoU', 'time', 'at equal iterations', 'at equal time')


def values_of(runs: Runs, metric: str) -> dict[str, dict[int, float]]:
    """Return the metric of each method and seed."""
    return {
        method: {seed: record['metrics'][metric] for seed, record in seeds.items()}
        for method, seeds in runs.items()
    }


def seconds_of(times: Runs) -> dict[str, float]:
    """Return the median time of an iteration of each method.

    Args:
        times: Records of the trainings that measure it, by method and seed.
    """
    return {
        method: median(r['training_seconds'] / r['length'] for r in records.values())
        for method, records in times.items()
    }


def at_equal_time(
    short: Mapping[int, Mapping],
    long: Mapping[int, Mapping],
    ratio: float,
    metric: str,
) -> dict[int, float]:
    """Return the baseline's metric for a training time, by seed.

    The metric m after n and 2 n iterations is interpolated linearly in the logarithm of
    the time, in which learning curves are nearly straight. For r times the time of n
    iterations, m(r n) = m(n) + (m(2 n) - m(n)) log2(r).

    Args:
        short: Records of the baseline's shorter trainings, by seed.
        long: Those of trainings of twice the length.
        ratio: Training time r, divided by that of the shorter trainings.
        metric: Name of the metric.
    """
    share = log2(ratio)
    return {
        seed: (1 - share) * record['metrics'][metric]
        + share * long[seed]['metrics'][metric]
        for seed, record in short.items()
        if seed in long
    }


def differences(
    runs: Runs,
    baseline: str,
    long: Runs,
    methods: Sequence[str],
    seconds: Mapping[str, float],
    metric: str,
) -> Values:
    """Return each run's difference to the baseline at equal time.

    Args:
        runs: Records of the methods and the baseline at a length, by method and seed.
        baseline: Name of the baseline.
        long: Records of the baseline at twice the length.
        methods: Methods to compare.
        seconds: Time of an iteration of each method.
        metric: Name of the metric.
    """
    values, found = values_of(runs, metric), {}
    for method in methods:
        ratio = seconds[method] / seconds[baseline]
        reference = at_equal_time(runs[baseline], long[baseline], ratio, metric)
        found[method] = {
            seed: value - reference[seed]
            for seed, value in values[method].items()
            if seed in reference
        }
    return found


def summarize_gains(gains: Values) -> list[dict[str, Any]]:
    """Return mean, deviation and test of each method's differences to 0."""
    zero = {seed: 0.0 for each in gains.values() for seed in each}
    return summarize({'': zero, **gains}, '')[1:]


def equal_time_table(
    runs: Runs,
    baseline: str,
    long: Runs,
    methods: Sequence[str],
    seconds: Mapping[str, float],
    metric: str,
) -> tuple[list, list]:
    """Return columns and rows of the table of methods at one length.

    The time is relative to the baseline's. Arguments as in :func:`differences`.
    """
    values, doubled = values_of(runs, metric), values_of(long, metric)[baseline]
    rows = []
    for name, each, time in (
        (baseline, values[baseline], '1'),
        ('twice as long', doubled, '2'),
    ):
        cells = [str(len(each)), format_mean(*mean_and_sd(each.values())), time]
        rows.append([name, *cells, *['-'] * 5])
    tests = summarize_gains(differences(runs, baseline, long, methods, seconds, metric))
    usual = summarize(
        {baseline: values[baseline]} | {m: values[m] for m in methods}, baseline
    )[1:]
    for equal, plain in zip(tests, usual, strict=True):
        runs_, level, difference, *_ = summary_cells(plain)
        time = f'{seconds[plain["config"]] / seconds[baseline]:.2f}'
        row = [plain['config'], runs_, level, time, difference]
        rows.append([*row, *summary_cells(equal)[2:]])
    return [*COLUMNS, *SUMMARY_COLUMNS[3:]], rows


def gain_table(
    lengths: Mapping[int, Runs],
    baseline: str,
    methods: Sequence[str],
    seconds: Mapping[str, float],
    metric: str,
) -> tuple[list, list]:
    """Return columns and rows of the table of gains at equal time after each length.

    A gain with p < 0.05, corrected, is bold.

    Args:
        lengths: Records by number of iterations, method and seed.
        baseline: Name of the baseline.
        methods: Methods to compare.
        seconds: Time of an iteration of each method.
        metric: Name of the metric.
    """
    columns, cells = ['method', 'time'], {}
    for method in methods:
        cells[method] = [method, f'{seconds[method] / seconds[baseline]:.2f}']
    for n, runs in lengths.items():
        long = lengths.get(2 * n, {})
        found = [method for method in methods if method in runs]
        if not found or baseline not in long:
            continue
        columns.append(f'{n:,} iterations')
        gains = differences(runs, baseline, long, found, seconds, metric)
        tests = {row['config']: gain_cell(row) for row in summarize_gains(gains)}
        for method, row in cells.items():
            row.append(tests.get(method, NONE))
    return columns, list(cells.values())


def gain_cell(row: Mapping[str, Any]) -> str:
    """Return a row of :func:`summarize` as a difference, bold if significant."""
    text = format_mean(row['difference'], row['difference sd'], '+')
    return f'**{text}**' if (row['p holm'] or 1) < 0.05 else text


def draw_time(
    lengths: Mapping[int, Runs],
    baseline: str,
    methods: Sequence[str],
    seconds: Mapping[str, float],
    metric: str,
) -> Figure:
    """Draw the mean metric against the time of a training, a line for each method.

    Args:
        lengths: Records by number of iterations, method and seed.
        baseline: Name of the baseline, drawn in black.
        methods: Other methods.
        seconds: Time of an iteration of each method.
        metric: Name of the metric.
    """
    figure = Figure((WIDTH, 4.6), layout='constrained')
    axes = figure.subplots()
    for i, method in enumerate([baseline, *methods]):
        points = [
            (n * seconds[method], mean(values_of(runs, metric)[method].values()))
            for n, runs in sorted(lengths.items())
            if method in runs
        ]
        if not points:
            continue
        color = 'black' if method == baseline else COLORS[i % len(COLORS)]
        marker = 'o' if i <= len(COLORS) else '^'
        axes.plot(
            *zip(*points, strict=True),
            marker=marker,
            ms=4,
            color=color,
            lw=2 if method == baseline else 1,
            label=method,
        )
    axes.set_xscale('log')
    axes.set(xlabel='CPU time of a training, s', ylabel=metric)
    axes.legend(frameon=False, fontsize=8, ncols=2)
    style(axes)
    return figure
