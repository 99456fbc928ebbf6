"""Comparison of methods with a baseline that is trained for the same time."""

from collections.abc import Mapping, Sequence
from math import log
from statistics import mean

from matplotlib.figure import Figure

from mmkd.analysis.statistics import (
    SUMMARY_COLUMNS,
    format_mean,
    mean_and_sd,
    summarize,
    summary_cells,
)

from .comparison import COLORS, Runs, Values, comparison_table
from .page import WIDTH, style

COLUMNS = ('method', 'runs', 'mIoU', 'time, s', 'at equal iterations', 'at equal time')


def values_of(runs: Runs, metric: str) -> dict[str, dict[int, float]]:
    """Return the metric of each method and seed."""
    return {
        method: {seed: record['metrics'][metric] for seed, record in seeds.items()}
        for method, seeds in runs.items()
    }


def seconds_of(runs: Mapping[int, Mapping]) -> float:
    """Return the mean training time of the runs of a method."""
    return mean(record['training_seconds'] for record in runs.values())


def at_equal_time(
    short: Mapping[int, Mapping],
    long: Mapping[int, Mapping],
    seconds: float,
    metric: str,
) -> dict[int, float]:
    """Return the baseline's metric for a training time, by seed.

    The metric m of two lengths with the training times t and T is interpolated linearly
    in the logarithm of the time s, in which learning curves are nearly straight:
    m(s) = m(t) + (m(T) - m(t)) log(s / t) / log(T / t).

    Args:
        short: Records of the baseline's shorter trainings, by seed.
        long: Those of the longer ones.
        seconds: Training time s.
        metric: Name of the metric.
    """
    start, end = seconds_of(short), seconds_of(long)
    share = log(seconds / start) / log(end / start)
    return {
        seed: (1 - share) * record['metrics'][metric]
        + share * long[seed]['metrics'][metric]
        for seed, record in short.items()
        if seed in long
    }


def differences(
    runs: Runs, short: str, long: Runs, methods: Sequence[str], metric: str
) -> Values:
    """Return each run's difference to the baseline at equal time.

    Args:
        runs: Records of the methods and the baseline at a length, by method and seed.
        short: Name of the baseline.
        long: Records of the baseline at twice the length.
        methods: Methods to compare.
        metric: Name of the metric.
    """
    values, found = values_of(runs, metric), {}
    for method in methods:
        seconds = seconds_of(runs[method])
        reference = at_equal_time(runs[short], long[short], seconds, metric)
        found[method] = {
            seed: value - reference[seed]
            for seed, value in values[method].items()
            if seed in reference
        }
    return found


def equal_time_table(
    runs: Runs, baseline: str, long: Runs, methods: Sequence[str], metric: str
) -> tuple[list, list]:
    """Return columns and rows of the table of methods at one length.

    Arguments as in :func:`differences`.
    """
    values, doubled = values_of(runs, metric), values_of(long, metric)[baseline]
    rows = []
    for name, each, seconds in (
        (baseline, values[baseline], seconds_of(runs[baseline])),
        ('twice as long', doubled, seconds_of(long[baseline])),
    ):
        cells = [str(len(each)), format_mean(*mean_and_sd(each.values()))]
        rows.append([name, *cells, f'{seconds:.0f}', *['-'] * 5])
    gains = differences(runs, baseline, long, methods, metric)
    zero = {seed: 0.0 for each in gains.values() for seed in each}
    tests = summarize({baseline: zero, **gains}, baseline)[1:]
    usual = summarize(
        {baseline: values[baseline]} | {m: values[m] for m in methods}, baseline
    )[1:]
    for equal, plain in zip(tests, usual, strict=True):
        runs_, level, difference, *_ = summary_cells(plain)
        seconds = f'{seconds_of(runs[plain["config"]]):.0f}'
        row = [plain['config'], runs_, level, seconds, difference]
        rows.append([*row, *summary_cells(equal)[2:]])
    return [*COLUMNS, *SUMMARY_COLUMNS[3:]], rows


def timed_table(runs: Runs, baseline: str, metric: str) -> tuple[list, list]:
    """Return columns and rows of a comparison at equal iterations, with the times.

    Args:
        runs: Records by method and seed, the baseline's first.
        baseline: Name of the baseline.
        metric: Name of the metric.
    """
    columns, rows = comparison_table(values_of(runs, metric), baseline, metric)
    seconds = [f'{seconds_of(each):.0f}' for each in runs.values()]
    for line, cell in zip([columns, *rows], [COLUMNS[3], *seconds], strict=True):
        line.insert(3, cell)
    return columns, rows


def draw_time(
    lengths: Mapping[int, Runs], baseline: str, methods: Sequence[str], metric: str
) -> Figure:
    """Draw the mean metric against the time of a training, a line for each method.

    Args:
        lengths: Records by number of iterations, method and seed.
        baseline: Name of the baseline, drawn in black.
        methods: Other methods.
        metric: Name of the metric.
    """
    figure = Figure((WIDTH, 4.6), layout='constrained')
    axes = figure.subplots()
    for i, method in enumerate([baseline, *methods]):
        found = [runs[method] for runs in lengths.values() if method in runs]
        if not found:
            continue
        points = sorted(
            (
                seconds_of(each),
                mean(record['metrics'][metric] for record in each.values()),
            )
            for each in found
        )
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
    axes.set(xlabel='time of a training, s', ylabel=metric)
    axes.legend(frameon=False, fontsize=8, ncols=2)
    style(axes)
    return figure
