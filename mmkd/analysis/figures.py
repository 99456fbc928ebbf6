"""Figures of a comparison."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean
from typing import Any, Literal

import numpy as np
from matplotlib import color_sequences
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmkd.runs.findings import DISTILL, UNLABELED
from mmkd.runs.scalar_log import ScalarLog

from .comparison import Comparison

WIDTH = 9.6  # inches
POINTS = 1000  # largest number of points of a curve


def method_colors(comparison: Comparison) -> dict[str, object]:
    """Return a color for each method: gray for the baseline, black for the teacher."""
    palette = iter(color_sequences['tab10'] * 9)
    special = dict.fromkeys(comparison.teacher_methods, '0.1')
    if comparison.baseline:
        special[comparison.baseline] = '0.55'
    return {
        name: special[name] if name in special else next(palette)
        for name in comparison.runs
    }


def draw_results(comparison: Comparison) -> Figure:
    """Draw the metric of each run as a dot and the mean of each method as a line."""
    methods, names = comparison.compared, comparison.names
    values, colors = comparison.values(comparison.metric), method_colors(comparison)
    figure = Figure((WIDTH, 1.3 + 0.42 * len(methods)), layout='constrained')
    axes = figure.subplots()
    for row, method in enumerate(methods):
        draw_runs(axes, row, values[method].values(), colors[method])
    axes.set_xlim(axes.get_xlim())  # keep the range of the runs for distant levels
    levels = dict(teacher=comparison.teacher_level)
    if comparison.baseline:
        levels['baseline'] = mean(values[comparison.baseline].values())
    for name, level in levels.items():
        if level is not None and np.isfinite(level):
            draw_level(axes, name, level)
    label = f'{comparison.metric} at the last validation'
    axes.set(xlabel=label, ylim=(len(methods), -0.8))
    axes.set_yticks(range(len(methods)), [names[method] for method in methods])
    _style(axes)
    return figure


def draw_level(axes: Axes, name: str, level: float) -> None:
    """Draw a dashed line at a level, or an arrow to a level outside the axes."""
    low, high = axes.get_xlim()
    place, side, text = level, 'center', name
    if low <= level <= high:
        axes.axvline(level, color='0.6', lw=1, ls='--', zorder=1)
    elif level > high:
        place, side, text = high, 'right', f'{name}, {level:.2f} \N{RIGHTWARDS ARROW}'
    else:
        place, side, text = low, 'left', f'\N{LEFTWARDS ARROW} {name}, {level:.2f}'
    top = axes.get_xaxis_transform()
    axes.text(place, 1.01, text, transform=top, ha=side, color='0.4')


def draw_runs(axes: Axes, row: float, values: Iterable[float], color: object) -> None:
    """Draw the runs of a method as dots in a row, and their mean as a labeled line."""
    dots = sorted(filter(np.isfinite, values))
    if not dots:
        return
    offsets = np.linspace(-0.14, 0.14, len(dots)) if len(dots) > 1 else np.zeros(1)
    axes.scatter(dots, row + offsets, s=34, color=color, zorder=3)
    level = mean(dots)
    axes.plot([level] * 2, [row - 0.32, row + 0.32], color=color, lw=3)
    axes.annotate(
        f'{level:.2f}',
        (level, row - 0.36),
        ha='center',
        va='bottom',
        fontsize=9,
        bbox=dict(color='w', pad=0.5),  # hides a dashed line behind the text
    )


def draw_class_differences(comparison: Comparison) -> Figure | None:
    """Draw the difference in IoU to the baseline for each method and class."""
    differences = comparison.class_differences()
    if not differences:
        return None
    classes = list(next(iter(differences.values())))
    table = np.array([list(column.values()) for column in differences.values()]).T
    limit = max(1.0, np.nanmax(np.abs(table), initial=0))
    labels = [comparison.names[method] for method in differences]
    longest = max(map(len, labels))
    slanted = longest > 13  # wider than a column
    above = 0.7 + (0.045 * longest if slanted else 0)
    size = 2.2 + 0.9 * len(labels), above + 0.26 * len(classes)
    figure = Figure(size, layout='constrained')
    axes = figure.subplots()
    axes.imshow(table, cmap='RdBu', vmin=-limit, vmax=limit, aspect='auto')
    for (row, column), value in np.ndenumerate(table):
        axes.text(
            column,
            row,
            f'{value:+.1f}' if np.isfinite(value) else 'n/a',
            ha='center',
            va='center',
            fontsize=8,
            color='w' if abs(value) > 0.6 * limit else '0.15',
        )
    axes.set_yticks(range(len(classes)), classes)
    style: dict[str, Any] = dict(rotation=35, ha='left') if slanted else {}
    axes.set_xticks(range(len(labels)), labels, **style)
    axes.tick_params(
        length=0, labelsize=9, top=True, labeltop=True, bottom=False, labelbottom=False
    )
    axes.spines[:].set_visible(False)
    return figure


def draw_validations(comparison: Comparison) -> Figure:
    """Draw the metric at each validation: mean and range over the seeds."""
    figure = Figure((WIDTH, 3.6), layout='constrained')
    axes, metric = figure.subplots(), comparison.metric
    colors = method_colors(comparison)
    for method in comparison.compared:
        runs = [average(*run.curve(metric)) for run in comparison.runs[method].values()]
        _draw_range(axes, runs, comparison.names[method], colors[method])
    level = comparison.teacher_level
    if level is not None and np.isfinite(level):
        axes.set_ylim(axes.get_ylim())  # keep the range of the runs
        axes.axhline(level, color='0.1', lw=1, ls='--', label=f'teacher, {level:.2f}')
    axes.set(xlabel=comparison.unit, ylabel=metric)
    _style(axes, grid='both')
    return figure


def draw_losses(comparison: Comparison) -> Figure:
    """Draw the task losses of the student, and the distillation losses."""
    figure = Figure((WIDTH, 3.6), layout='constrained')
    task, added = figure.subplots(1, 2)
    colors = method_colors(comparison)
    for method in comparison.compared:
        logs = [run.scalars for run in comparison.runs[method].values()]
        losses = [distillation_losses(log) for log in logs]
        tasks = [
            log.column('loss') - np.nan_to_num(loss)
            for log, loss in zip(logs, losses, strict=True)
        ]
        name, color = comparison.names[method], colors[method]
        for axes, values in ((task, tasks), (added, losses)):
            pairs = zip(logs, values, strict=True)
            runs = [average(log.iterations, value) for log, value in pairs]
            _draw_range(axes, runs, name, color)
    task.set(xlabel='iteration', title='task loss')
    added.set(xlabel='iteration', title='distillation losses, weighted')
    _style(task, grid='both')
    _style(added, grid='both')
    added.set_visible(added.has_data())
    return figure


def distillation_losses(log: ScalarLog) -> np.ndarray:
    """Return the sum of the distillation losses; NaN if none is logged."""
    prefixes = (DISTILL, UNLABELED)
    names = [n for n in log.names if n.startswith(prefixes) and 'loss' in n]
    columns = np.array([log.column(name) for name in names])
    if not names:
        return np.full(len(log.iterations), np.nan)
    return np.where(np.isnan(columns).all(0), np.nan, np.nansum(columns, 0))


def average(steps: np.ndarray, values: np.ndarray) -> dict[int, float]:
    """Average neighboring steps of a curve such that at most ``POINTS`` remain.

    Values that are not finite are excluded.
    """
    width = max(1, -(-len(steps) // POINTS))
    starts = np.arange(0, len(steps), width)
    lasts = steps[np.minimum(starts + width, len(steps)) - 1]
    finite = np.isfinite(values)
    sums = np.add.reduceat(np.where(finite, values, 0.0), starts)
    numbers = np.add.reduceat(finite.astype(int), starts)
    kept = numbers > 0
    means = sums[kept] / numbers[kept]
    return dict(zip(lasts[kept].tolist(), means.tolist(), strict=True))


def _draw_range(
    axes: Axes, runs: Sequence[Mapping[int, float]], name: str, color: object
) -> None:
    """Draw mean and range of several runs at the steps that all of them have."""
    steps = sorted(set.intersection(*map(set, runs)))
    if not steps:
        return
    values = np.array([[run[step] for step in steps] for run in runs])
    marker = 'o' if len(steps) < 12 else None
    axes.plot(steps, values.mean(0), label=name, color=color, marker=marker)
    low, high = values.min(0), values.max(0)
    axes.fill_between(steps, low, high, color=color, alpha=0.15, lw=0)


def _style(axes: Axes, grid: Literal['both', 'x'] = 'x') -> None:
    """Remove decoration; add a light grid and, for curves, a legend."""
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(axis=grid, color='0.93')
    axes.set_axisbelow(True)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8)
