"""Figures of a comparison."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .comparison import Comparison

WIDTH = 9.6  # inches


def method_colors(comparison: Comparison) -> dict[str, object]:
    """Return a color for each method: gray for the baseline, black for the teacher."""
    palette = iter(colormaps['tab10'].colors * 9)
    special = {comparison.baseline: '0.55', comparison.teacher_method: '0.1'}
    return {
        name: special[name] if name in special else next(palette)
        for name in comparison.runs
    }


def draw_results(comparison: Comparison) -> Figure:
    """Draw each run's metric as a dot, the mean as a line, method by method."""
    methods, names = comparison.compared, comparison.names
    values, colors = comparison.values(comparison.metric), method_colors(comparison)
    figure = Figure((WIDTH, 1.3 + 0.42 * len(methods)), layout='constrained')
    axes = figure.subplots()
    for row, method in enumerate(methods):
        draw_runs(axes, row, values[method].values(), colors[method])
    levels = dict(teacher=comparison.teacher_level)
    if comparison.baseline:
        levels['baseline'] = mean(values[comparison.baseline].values())
    for name, level in levels.items():
        if level is not None:
            axes.axvline(level, color='0.6', lw=1, ls='--', zorder=1)
            top = axes.get_xaxis_transform()
            axes.text(level, 1.01, name, transform=top, ha='center', color='0.4')
    label = f'{comparison.metric} at the last validation'
    axes.set(xlabel=label, ylim=(len(methods), -0.8))
    axes.set_yticks(range(len(methods)), [names[method] for method in methods])
    _style(axes)
    return figure


def draw_runs(axes: Axes, row: float, values: Iterable[float], color: object) -> None:
    """Draw a method's runs as dots in a row, their mean as a line with a label."""
    dots = sorted(values)
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
        bbox=dict(color='w', pad=0.5),  # the dashed line would cross it out
    )


def draw_class_differences(comparison: Comparison) -> Figure | None:
    """Draw how each method changes the IoU of each class, against the baseline."""
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
    style = dict(rotation=35, ha='left') if slanted else {}
    axes.set_xticks(range(len(labels)), labels, **style)
    axes.tick_params(
        length=0, labelsize=9, top=True, labeltop=True, bottom=False, labelbottom=False
    )
    axes.spines[:].set_visible(False)
    return figure


def draw_validations(comparison: Comparison) -> Figure:
    """Draw the metric at each validation: mean over the seeds, and their range."""
    figure = Figure((WIDTH, 3.6), layout='constrained')
    axes, metric = figure.subplots(), comparison.metric
    colors = method_colors(comparison)
    for method in comparison.compared:
        runs = [
            {step: metrics[metric] for step, metrics in run.validations.items()}
            for run in comparison.runs[method].values()
        ]
        _draw_range(axes, runs, comparison.names[method], colors[method])
    if comparison.teacher_level is not None:
        level = comparison.teacher_level
        axes.axhline(level, color='0.1', lw=1, ls='--', label='teacher')
    axes.set(xlabel=comparison.unit, ylabel=metric)
    _style(axes, grid='both')
    return figure


def draw_losses(comparison: Comparison) -> Figure:
    """Draw the student's own losses, and what the distillation adds to them."""
    figure = Figure((WIDTH, 3.6), layout='constrained')
    task, added = figure.subplots(1, 2)
    colors = method_colors(comparison)
    for method in comparison.compared:
        runs = [run.training for run in comparison.runs[method].values()]
        losses = [distillation_losses(run) for run in runs]
        tasks = [
            {step: record['loss'] - loss.get(step, 0) for step, record in run.items()}
            for run, loss in zip(runs, losses, strict=True)
        ]
        name, color = comparison.names[method], colors[method]
        _draw_range(task, tasks, name, color)
        _draw_range(added, losses, name, color)
    task.set(xlabel='iteration', title='task loss')
    added.set(xlabel='iteration', title='distillation losses, weighted')
    _style(task, grid='both')
    _style(added, grid='both')
    added.set_visible(added.has_data())
    return figure


def distillation_losses(
    training: Mapping[int, Mapping[str, float]],
) -> dict[int, float]:
    """Return the sum of the distillation's losses, where there are any."""
    found = {}
    for step, record in training.items():
        losses = [
            v for k, v in record.items() if k.startswith('distill.') and 'loss' in k
        ]
        if losses:
            found[step] = sum(losses)
    return found


def _draw_range(
    axes: Axes, runs: Sequence[Mapping[int, float]], name: str, color: object
) -> None:
    """Draw the mean of several runs and their range, at the steps that all have."""
    steps = sorted(set.intersection(*map(set, runs)))
    if not steps:
        return
    values = np.array([[run[step] for step in steps] for run in runs])
    marker = 'o' if len(steps) < 12 else None
    axes.plot(steps, values.mean(0), label=name, color=color, marker=marker)
    low, high = values.min(0), values.max(0)
    axes.fill_between(steps, low, high, color=color, alpha=0.15, lw=0)


def _style(axes: Axes, grid: str = 'x') -> None:
    """Remove what carries no data; add a light grid, and a legend of curves."""
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(axis=grid, color='0.93')
    axes.set_axisbelow(True)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8)
