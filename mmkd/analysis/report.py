"""Contents of the report of a comparison."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from matplotlib import rc_context
from mmengine.config import Config

from mmkd.distillation.stopwatch import PARTS
from mmkd.distillation.teacher_config import KEY, split_teachers
from mmkd.runs.recipe import recipe
from mmkd.runs.run_directory import RunDirectory

from . import figures
from .comparison import Comparison
from .cost import COST_KEYS, Cost, CostError, student_cost, teacher_cost
from .html_page import DPI, HtmlPage, Picture, Section, Table
from .statistics import (
    NONE,
    SUMMARY_COLUMNS,
    format_mean,
    format_number,
    mean_and_sd,
    summary_cells,
)

NO_CLASSES = (
    'Not shown: the logs contain no IoU per class (for runs of other train.py scripts, '
    "add dict(type='mmkd.ClassIoUMetric') to val_evaluator), or there is no baseline "
    'with the same seed.'
)
FIDELITY = (
    'Student compared with teacher at the last validation. A copy of the teacher would '
    "have the values 1, 0, 0, 1, 0, 1 and the teacher's calibration error."
)
NO_FIDELITY = (
    "Not measured in these runs: add dict(type='mmkd.FidelityMetric') to val_evaluator."
)
COST_NOTES = (
    'Parameters include auxiliary heads. FLOPs are those of one forward pass without '
    'auxiliary heads; a multiplication and an addition are two. Memory is the peak in '
    'training, of the GPU, or of the process on a CPU.',
)
TIME_NOTES = (
    'Medians of the logged iterations in ms; they depend on the load of the machine. '
    'Data is the wait for it, teacher its forward pass, losses the forward and '
    'backward pass of the distillation losses, and student the rest of the step. The '
    'remaining time of an iteration is that of checkpoints and the like. Distillation '
    'is the share of teacher and losses.',
)


@rc_context({'text.parse_math': False})  # names may contain dollar signs
def build_report(
    comparison: Comparison,
    title: str,
    folder: Path,
    panels: Sequence[Picture] = (),
    notes: Sequence[str] = (),
    origin: str = '',
) -> HtmlPage:
    """Build the page of a comparison, and draw its figures as PNG files.

    Args:
        comparison: The runs.
        title: Title of the page.
        folder: Folder to write the figures to.
        panels: Pictures of predictions.
        notes: Texts about these pictures.
        origin: Date and command that created the page.
    """
    drawn = {
        'results': (
            figures.draw_results,
            'Each dot is a run, each bar the mean of a method; dashed: means of the '
            'baseline and the teacher.',
        ),
        'classes': (
            figures.draw_class_differences,
            'Difference in IoU to the baseline for each class, in points, mean over '
            'pairs of equal seeds.',
        ),
        'curves': (
            figures.draw_validations,
            'Mean over the seeds; the band is their range.',
        ),
        'losses': (figures.draw_losses, 'Training losses: mean and range, as above.'),
    }
    pictures: dict[str, list[Picture]] = {name: [] for name in drawn}
    for name, (draw, caption) in drawn.items():
        figure = draw(comparison)
        if figure is not None:
            path = folder / f'{name}.png'
            figure.savefig(path, dpi=DPI)
            pictures[name] = [Picture(path, caption)]
    results, classes, curves, losses = pictures.values()
    fidelity = fidelity_table(comparison)
    costs, missing = cost_table(comparison)
    sections = [
        Section('Results', result_notes(comparison), results, result_table(comparison)),
        Section(
            'Classes',
            () if classes else [NO_CLASSES],
            classes,
            class_table(comparison),
        ),
        Section('Curves', (), curves + losses),
        Section('Fidelity', [FIDELITY if fidelity else NO_FIDELITY], (), fidelity),
        Section('Cost', [*COST_NOTES, *missing], (), costs),
        Section('Time', TIME_NOTES, (), time_table(comparison)),
        Section('Pictures', notes, panels),
        Section('Settings', settings(comparison)),
        Section(
            'Runs',
            [*environments(comparison), *filter(None, [origin])],
            (),
            run_table(comparison),
        ),
    ]
    kept = [s for s in sections if s.texts or s.pictures or s.table]
    return HtmlPage(title, finding(comparison), warnings(comparison), kept)


def finding(comparison: Comparison) -> str:
    """Return the result in one sentence."""
    rows = [r for r in comparison.summary() if r['config'] in comparison.distillations]
    if not rows:
        return f'{len(comparison.runs)} methods, none of them a distillation.'
    best = max(rows, key=lambda row: row['mean'])
    level = format_mean(best['mean'], best['sd'])
    text = f'{comparison.names[best["config"]]} reaches {level} {comparison.metric}'
    if best['difference'] is None:
        return f'{text}.'
    side = 'above' if best['difference'] >= 0 else 'below'
    difference = format_mean(abs(best['difference']), best['difference sd'])
    text += f', {difference} {side} the baseline'
    text += f', and is above it in {best["above"]} of {best["pairs"]} pairs'
    if best['p'] is None:
        return f'{text}: too few pairs for a test.'
    tests = sum(row['p'] is not None for row in rows)
    holm = f', Holm-corrected for {tests} comparisons' if tests > 1 else ''
    p = format_number(best['p holm'], 3)
    return f'{text} (paired t-test, p = {p}{holm}).'


def warnings(comparison: Comparison) -> list[str]:
    """Return the limitations of the result."""
    found = []
    if min(len(comparison.runs[name]) for name in comparison.compared) == 1:
        found.append(
            'A method has only one run; differences may be due to the seed alone.'
        )
    drawn = [
        comparison.names[name]
        for name in comparison.compared
        if not all(run.has_seed for run in comparison.runs[name].values())
    ]
    if drawn:
        found.append(
            f'The seed is not set, and counts as 0, in runs of {", ".join(drawn)}: '
            'pairs with them do not have equal seeds; set randomness.seed, or use mmkd '
            'sweep.'
        )
    if comparison.baseline is None:
        found.append(
            'There is no baseline, i.e. no run of the student without a teacher, so '
            'there are no differences; train the baseline with the same recipe and '
            'seeds, or name it with --baseline.'
        )
    for run in comparison.unfinished:
        found.append(f'Excluded, because it is not finished: {run.path}.')
    return found


def result_notes(comparison: Comparison) -> list[str]:
    """Return explanations of the table of results."""
    notes = [
        f'{comparison.metric} at the last validation, mean ± standard deviation over '
        'the runs. Best: at the best validation, which is selected on the same data '
        'and therefore optimistic for every method. Differences are over pairs of '
        'equal seeds; p is that of a two-sided paired t-test, and p (Holm) is '
        'corrected for the number of methods.'
    ]
    trained = comparison.teacher_methods.values()
    if comparison.teacher_level is not None and KEY not in trained:
        notes.append(
            f'The teacher has {comparison.teacher_level:.2f}, on the first validation '
            'images (TeacherMetricHook.images).'
        )
    return notes


def result_table(comparison: Comparison) -> Table:
    """Return the table of means and differences of each method."""
    best = comparison.values(comparison.metric, best=True)
    rows = comparison.summary()
    cells = [
        [
            label(comparison, row['config']),
            *summary_cells(row),
            format_mean(*mean_and_sd(best[row['config']].values())),
        ]
        for row in rows
    ]
    means = {
        number: row['mean']
        for number, row in enumerate(rows)
        if row['config'] in comparison.distillations
    }
    first = max(means, key=lambda number: means[number]) if means else None
    return Table(['method', *SUMMARY_COLUMNS, 'best'], cells, first)


def class_table(comparison: Comparison) -> Table | None:
    """Return the table of IoUs at the last validation; None if they are not logged."""
    found = {
        method: [run.class_iou for run in runs.values() if run.class_iou]
        for method, runs in comparison.runs.items()
    }
    found = {method: runs for method, runs in found.items() if runs}
    if not found:
        return None
    classes = dict.fromkeys(name for runs in found.values() for name in runs[0])
    rows = [
        [
            name,
            *(
                format_mean(*mean_and_sd(run[name] for run in runs if name in run))
                for runs in found.values()
            ),
        ]
        for name in classes
    ]
    return Table(['IoU of', *(comparison.names[method] for method in found)], rows)


def fidelity_table(comparison: Comparison) -> Table | None:
    """Return the table of FidelityMetric's results; None without any."""
    measured = comparison.fidelity()
    if not measured:
        return None
    kinds = list(next(iter(measured.values())))
    rows = [
        [
            comparison.names[method],
            *(
                format_mean(*mean_and_sd(found.get(kind, ())), digits=3)
                for kind in kinds
            ),
        ]
        for method, found in measured.items()
    ]
    acronyms = dict(kl='KL', ece='ECE')
    words = (kind.split('_') for kind in kinds)
    headings = [' '.join(acronyms.get(word, word) for word in kind) for kind in words]
    return Table(['method', *headings], rows)


def cost_table(comparison: Comparison) -> tuple[Table, list[str]]:
    """Return the table of parameters, FLOPs and memory of each method.

    Also return a reason for each network whose cost is missing. A network of several
    methods is built once.
    """
    rows, reasons = [], []
    known: dict[str, Cost] = {}

    def shared_cost(config: Config) -> Cost:
        network = repr([config.get(key) for key in COST_KEYS])
        if network not in known:
            known[network] = student_cost(config)
        return known[network]

    def cells(
        name: str, measure: Callable[[Config], Cost | None], config: Config
    ) -> list[str]:
        try:
            return network_cells(measure(config))
        except CostError as error:
            reasons.append(f'{name}: {error}.')
            return network_cells(None)

    for method, runs in comparison.runs.items():
        memory = [m for run in runs.values() if (m := run.median('memory'))]
        rows.append(
            [
                label(comparison, method),
                *cells(method, shared_cost, comparison.first(method).config),
                format_number(max(memory, default=None), 0),
            ]
        )
    trained = comparison.teacher_methods.values()
    for method in comparison.distillations[:1]:
        config = comparison.first(method).config
        for key in split_teachers(config.teacher):
            if key not in trained:
                cost = cells(key, partial(teacher_cost, key=key), config)
                rows.append([key, *cost, NONE])
    columns = ['method', 'parameters, M', 'GFLOPs', 'image', 'memory, MiB']
    return Table(columns, rows), reasons


def time_table(comparison: Comparison) -> Table:
    """Return the table of the time of an iteration and its parts for each method."""
    rows = []
    baseline = median_time(comparison.baseline_runs, 'time')
    for method, runs in comparison.runs.items():
        names = ['time', 'data_time', *(f'time_{part}' for part in PARTS)]
        found = [median_time(runs, name) for name in names]
        whole, _, _, teacher, losses = found
        share = factor = None
        if whole and teacher is not None and losses is not None:
            share = 100 * (teacher + losses) / whole
        if whole and baseline:
            factor = whole / baseline
        rows.append(
            [
                label(comparison, method),
                *(format_number(t and 1000 * t, 1) for t in found),
                format_number(share, 1),
                format_number(factor, 2),
            ]
        )
    columns = ['method', 'iteration, ms', 'data', *PARTS, 'distillation, %']
    return Table([*columns, 'times the baseline'], rows)


def median_time(runs: Mapping[int, RunDirectory], name: str) -> float | None:
    """Return the mean over runs of the median of a time; None if none logs it."""
    medians = [run.median(name) for run in runs.values()]
    return mean_and_sd(t for t in medians if t is not None)[0]


def network_cells(cost: Cost | None) -> list[str]:
    """Return a network's cost as table cells."""
    if cost is None:
        return [NONE] * 3
    flops = NONE if cost.flops is None else f'{cost.flops / 1e9:.3g}'
    size = NONE if cost.size is None else '{}x{}'.format(*cost.size)
    return [f'{cost.parameters / 1e6:.3g}', flops, size]


def run_table(comparison: Comparison) -> Table:
    """Return the table of folders and results of all runs."""
    metric = comparison.metric
    rows = [
        [
            str(run.path),
            comparison.names[method],
            str(seed),
            f'{run.total} {run.unit}s',
            f'{run.last_metrics[metric]:.2f}',
            run.started,
            *(run.origin.get(key, NONE) for key in ('mmkd', 'command')),
        ]
        for method, runs in comparison.runs.items()
        for seed, run in runs.items()
    ]
    columns = ['folder', 'method', 'seed', 'length', f'last {metric}']
    return Table([*columns, 'started', 'mmkd', 'command'], rows)


def settings(comparison: Comparison) -> list[str]:
    """Describe the settings of the first run of each method."""
    texts = []
    for method in comparison.runs:
        rows = recipe(comparison.first(method).config)
        settings = '; '.join(f'{name}: {value}' for name, value in rows.items())
        texts.append(f'{label(comparison, method)}. {settings}')
    return texts


def environments(comparison: Comparison) -> list[str]:
    """Return the distinct versions and GPUs of the runs."""
    every = (run for runs in comparison.runs.values() for run in runs.values())
    texts = (', '.join(f'{k} {v}' for k, v in run.environment.items()) for run in every)
    return [text for text in dict.fromkeys(texts) if text]


def label(comparison: Comparison, method: str) -> str:
    """Return the full name of a method with its role."""
    roles = comparison.roles
    return f'{method} ({roles[method]})' if method in roles else method
