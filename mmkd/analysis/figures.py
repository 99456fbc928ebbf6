"""Figures of a study."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .study import Study

WIDTH = 9.6  # inches
FIDELITY = {  # what is measured, and what a copy of the teacher would have
    'agreement': ('agreement with the teacher', 1),
    'forward_kl': ('forward KL', 0),
    'reverse_kl': ('reverse KL', 0),
    'rank_correlation': ('rank correlation of classes', 1),
    'small_probability_error': ('error of small probabilities', 0),
    'std_ratio': ("standard deviation of logits\nto the teacher's", 1),
    'ece': ('calibration error', None),
}


def colours(study: Study) -> dict[str, object]:
    """A colour for each method: grey for the baseline, black for the teacher."""
    palette = iter(colormaps['tab10'].colors * 9)
    special = {study.baseline: '0.55', study.teacher_method: '0.1'}
    return {
        name: special[name] if name in special else next(palette) for name in study.runs
    }


def results(study: Study) -> Figure:
    """Each run's metric as a dot, the mean as a line, method by method."""
    methods, names, palette = study.compared, study.names, colours(study)
    values = study.values(study.metric)
    figure = Figure((WIDTH, 1.3 + 0.42 * len(methods)), layout='constrained')
    axes = figure.subplots()
    for place, method in enumerate(methods):
        draw_runs(axes, place, values[method].values(), palette[method])
    for what, level in (
        ('alone', mean(values[study.baseline].values()) if study.baseline else None),
        ('teacher', study.teacher_level),
    ):
        if level is not None:
            axes.axvline(level, color='0.6', lw=1, ls='--', zorder=1)
            top = axes.get_xaxis_transform()
            axes.text(level, 1.01, what, transform=top, ha='center', color='0.4')
    axes.set(xlabel=f'{study.metric} at the last validation', ylim=(len(methods), -0.8))
    axes.set_yticks(range(len(methods)), [names[method] for method in methods])
    plain(axes)
    return figure


def draw_runs(
    axes: Axes, place: float, values: Iterable[float], colour: object
) -> None:
    """Each run of a method as a dot in its row, the mean as a line with its value."""
    dots = sorted(values)
    apart = np.linspace(-0.14, 0.14, len(dots)) if len(dots) > 1 else [0]
    axes.scatter(dots, place + np.array(apart), s=34, color=colour, zorder=3)
    level = mean(dots)
    axes.plot([level] * 2, [place - 0.32, place + 0.32], color=colour, lw=3)
    axes.annotate(
        f'{level:.2f}',
        (level, place - 0.36),
        ha='center',
        va='bottom',
        fontsize=9,
        bbox=dict(color='w', pad=0.5),  # the dashed line would cross it out
    )


def class_differences(study: Study) -> Figure | None:
    """How much each method moves the IoU of each class, against the baseline."""
    if study.baseline is None:
        return None
    differences = study.class_differences()
    if not differences:
        return None
    methods, names = list(differences), study.names
    classes = list(differences[methods[0]])
    table = np.array([[differences[m][c] for m in methods] for c in classes])
    limit = max(1.0, np.nanmax(np.abs(table)))
    labels = [names[m] for m in methods]
    longest = max(map(len, labels))
    slanted = longest > 13  # wider than a column
    above = 0.7 + (0.045 * longest if slanted else 0)
    size = 2.2 + 0.9 * len(methods), above + 0.26 * len(classes)
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
    look = dict(rotation=35, ha='left') if slanted else {}
    axes.set_xticks(range(len(methods)), labels, **look)
    axes.tick_params(
        length=0, labelsize=9, top=True, labeltop=True, bottom=False, labelbottom=False
    )
    axes.spines[:].set_visible(False)
    return figure


def curves(study: Study) -> Figure:
    """The metric at each validation: the mean over the seeds, and their range."""
    figure = Figure((WIDTH, 3.6), layout='constrained')
    axes, palette = figure.subplots(), colours(study)
    for method in study.compared:
        runs = study.runs[method].values()
        by_step = align(
            [{s: v[study.metric] for s, v in r.validations.items()} for r in runs]
        )
        band(axes, by_step, study.names[method], palette[method])
    if study.teacher_level is not None:
        axes.axhline(study.teacher_level, color='0.1', lw=1, ls='--', label='teacher')
    axes.set(xlabel=study.unit, ylabel=study.metric)
    finish(axes)
    return figure


def losses(study: Study) -> Figure:
    """The student's own losses, and what the distillation adds to them."""
    figure = Figure((WIDTH, 3.6), layout='constrained')
    own, added = figure.subplots(1, 2)
    palette = colours(study)
    for method in study.compared:
        runs, look = study.runs[method].values(), (study.names[method], palette[method])
        band(own, align([task_loss(run.training) for run in runs]), *look)
        distilled = align([distillation_loss(run.training) for run in runs])
        if distilled:
            band(added, distilled, *look)
    own.set(xlabel='iteration', title='task loss')
    added.set(xlabel='iteration', title='distillation losses, weighted')
    finish(own)
    finish(added)
    return figure


def fidelity(study: Study) -> Figure | None:
    """What :class:`mmkd.FidelityMetric` has measured at the last validation."""
    measured = study.fidelity()
    if not measured:
        return None
    kinds = [k for k in FIDELITY if any(k in found for found in measured.values())]
    rows, palette = -(-len(kinds) // 4), colours(study)
    height = rows * (1.3 + 0.28 * len(measured))
    figure = Figure((WIDTH, height), layout='constrained')
    grid = figure.subplots(rows, 4, squeeze=False, sharey=True)
    for axes, kind in zip(grid.flat, kinds, strict=False):
        title, copy = FIDELITY[kind]
        for place, (method, found) in enumerate(measured.items()):
            values = found.get(kind, [])
            axes.scatter(values, [place] * len(values), s=26, color=palette[method])
        if kind == 'ece':
            copy = teacher_ece(measured)
        if copy is not None:
            axes.axvline(copy, color='0.6', lw=1, ls='--')
        axes.set_title(title, fontsize=9)
        axes.set_yticks(range(len(measured)), [study.names[m] for m in measured])
        axes.set_ylim(len(measured) - 0.5, -0.5)
        axes.tick_params(labelsize=8)
        axes.locator_params(axis='x', nbins=4)
        plain(axes)
    for axes in list(grid.flat)[len(kinds) :]:
        axes.set_visible(False)
    return figure


def teacher_ece(measured: Mapping[str, Mapping[str, Sequence[float]]]) -> float | None:
    """The calibration error that a copy of the teacher would have."""
    levels = [v for found in measured.values() for v in found.get('teacher_ece', [])]
    return mean(levels) if levels else None


def task_loss(training: Mapping[int, Mapping[str, float]]) -> dict[int, float]:
    """The loss of the student's own heads: all but what the distillation adds."""
    added = distillation_loss(training)
    return {step: r['loss'] - added.get(step, 0.0) for step, r in training.items()}


def distillation_loss(training: Mapping[int, Mapping[str, float]]) -> dict[int, float]:
    """The sum of the distillation's losses, empty where there is none."""
    found = {}
    for step, record in training.items():
        terms = [
            v for k, v in record.items() if k.startswith('distill.') and 'loss' in k
        ]
        if terms:
            found[step] = sum(terms)
    return found


def align(runs: Sequence[Mapping[int, float]]) -> dict[int, list[float]]:
    """The values of several runs at the steps that all of them have."""
    steps = sorted(set.intersection(*(set(run) for run in runs)))
    return {step: [run[step] for run in runs] for step in steps}


def band(
    axes: Axes, values: Mapping[int, Sequence[float]], name: str, colour: object
) -> None:
    """Draws the mean of several runs, and between which values they lie."""
    steps, columns = list(values), list(values.values())
    marker = 'o' if len(steps) < 12 else None
    axes.plot(
        steps, [mean(c) for c in columns], label=name, color=colour, marker=marker
    )
    low, high = [min(c) for c in columns], [max(c) for c in columns]
    axes.fill_between(steps, low, high, color=colour, alpha=0.15, lw=0)


def plain(axes: Axes) -> None:
    """Takes away what carries no data."""
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(axis='x', color='0.93')
    axes.set_axisbelow(True)


def finish(axes: Axes) -> None:
    """The looks of a figure of curves."""
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(color='0.93')
    if axes.has_data():
        axes.legend(frameon=False, fontsize=8)
    else:
        axes.set_visible(False)
