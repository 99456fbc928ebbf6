"""Comparison of methods with a baseline that is trained for the same time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


def summarize_gains(gains: Values) -> list[dict[str, Any]]:
    """Return mean, deviation and test of each method's differences to 0."""
    zero = {seed: 0.0 for each in gains.values() for seed in each}
    return summarize({'': zero, **gains}, '')[1:]


def gain_cell(row: Mapping[str, Any]) -> str:
    """Return a row of :func:`summarize` as a difference, bold if significant."""
    text = format_mean(row['difference'], row['difference sd'], '+')
    p = row['p holm']
    return f'**{text}**' if p is not None and p < 0.05 else text


@dataclass(frozen=True)
class EqualTime:
    """Comparison of methods with a baseline that is trained for the same time.

    Args:
        baseline: Name of the baseline.
        seconds: Time of an iteration of each method.
        metric: Name of the metric.
    """

    baseline: str
    seconds: Mapping[str, float]
    metric: str

    def ratio(self, method: str) -> float:
        """Return a method's time of an iteration, divided by the baseline's."""
        return self.seconds[method] / self.seconds[self.baseline]

    def differences(self, runs: Runs, long: Runs, methods: Sequence[str]) -> Values:
        """Return each run's difference to the baseline at equal time.

        Args:
            runs: Records of the methods and the baseline at a length, by method and
                seed.
            long: Records of the baseline at twice the length.
            methods: Methods to compare.
        """
        values, found = values_of(runs, self.metric), {}
        for method in methods:
            reference = at_equal_time(
                runs[self.baseline],
                long[self.baseline],
                self.ratio(method),
                self.metric,
            )
            found[method] = {
                seed: value - reference[seed]
                for seed, value in values[method].items()
                if seed in reference
            }
        return found

    def compare(
        self, runs: Runs, long: Runs, methods: Sequence[str]
    ) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Return the rows of :func:`summarize` of each method, in pairs.

        The first is at equal iterations, the second at equal time. Arguments as in
        :meth:`differences`.
        """
        values = values_of(runs, self.metric)
        values = {method: values[method] for method in (self.baseline, *methods)}
        plain = summarize(values, self.baseline)[1:]
        equal = summarize_gains(self.differences(runs, long, methods))
        return list(zip(plain, equal, strict=True))

    def table(
        self, runs: Runs, long: Runs, methods: Sequence[str]
    ) -> tuple[list, list]:
        """Return columns and rows of the table of methods at one length.

        The time is relative to the baseline's. Arguments as in :meth:`differences`.
        """
        values, baseline = values_of(runs, self.metric), self.baseline
        doubled, rows = values_of(long, self.metric)[baseline], []
        for name, each, time in (
            (baseline, values[baseline], '1'),
            ('twice as long', doubled, '2'),
        ):
            cells = [str(len(each)), format_mean(*mean_and_sd(each.values())), time]
            rows.append([name, *cells, *['-'] * 5])
        for plain, equal in self.compare(runs, long, methods):
            runs_, level, difference, *_ = summary_cells(plain)
            time = f'{self.ratio(plain["config"]):.2f}'
            row = [plain['config'], runs_, level, time, difference]
            rows.append([*row, *summary_cells(equal)[2:]])
        return [*COLUMNS, *SUMMARY_COLUMNS[3:]], rows

    def gains(
        self, runs: Mapping[int, Runs], lengths: Sequence[int], methods: Sequence[str]
    ) -> tuple[list, list]:
        """Return columns and rows of the table of gains at equal time by length.

        A gain with p < 0.05, corrected, is bold.

        Args:
            runs: Records by number of iterations, method and seed.
            lengths: Numbers of iterations to compare.
            methods: Methods to compare.
        """
        columns = ['method', 'time']
        cells = {method: [method, f'{self.ratio(method):.2f}'] for method in methods}
        for n in lengths:
            short, long = runs[n], runs[2 * n]
            found = [method for method in methods if method in short]
            columns.append(f'{n:,} iterations')
            gains = self.differences(short, long, found)
            tests = {row['config']: gain_cell(row) for row in summarize_gains(gains)}
            for method, row in cells.items():
                row.append(tests.get(method, NONE))
        return columns, list(cells.values())

    def draw(self, runs: Mapping[int, Runs], methods: Sequence[str]) -> Figure:
        """Draw the mean metric against the time of a training, a line for each method.

        The baseline is black.

        Args:
            runs: Records by number of iterations, method and seed.
            methods: Methods besides the baseline.
        """
        figure = Figure((WIDTH, 4.6), layout='constrained')
        axes = figure.subplots()
        for i, method in enumerate([self.baseline, *methods]):
            points = [
                (
                    n * self.seconds[method],
                    mean(values_of(found, self.metric)[method].values()),
                )
                for n, found in sorted(runs.items())
                if method in found
            ]
            axes.plot(
                *zip(*points, strict=True),
                marker='o' if i <= len(COLORS) else '^',
                ms=4,
                color=COLORS[i % len(COLORS)] if i else 'black',
                lw=1 if i else 2,
                label=method,
            )
        axes.set_xscale('log')
        axes.set(xlabel='time of a training, s', ylabel=self.metric)
        axes.legend(frameon=False, fontsize=8, ncols=2)
        style(axes)
        return figure
