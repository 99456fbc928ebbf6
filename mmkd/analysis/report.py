"""A study as a page."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import mean

from matplotlib.figure import Figure

from . import figures
from .cost import Cost, student_cost, teacher_cost
from .page import DPI, Page, Picture, Section, Table
from .statistics import stdev
from .study import Study

NONE = '-'


def build(
    study: Study,
    title: str,
    folder: Path,
    panels: Sequence[Picture] = (),
    notes: Sequence[str] = (),
) -> Page:
    """Draws a study's figures as PNG files and puts them on a page with its tables.

    Args:
        study: The runs.
        title: Of the page.
        folder: Where the pictures are written.
        panels: Pictures of predictions.
        notes: What to say of them.
    """

    def draw(name: str, make: Callable[[Study], Figure | None], caption: str) -> list:
        figure = make(study)
        if figure is None:
            return []
        path = folder / f'{name}.png'
        figure.savefig(path, dpi=DPI)
        return [Picture(path, caption)]

    results = draw(
        'results',
        figures.results,
        'Each dot is a run, the bar their mean; dashed: the mean of the student alone '
        'and the teacher.',
    )
    classes = draw(
        'classes',
        figures.class_differences,
        "Difference of each class's IoU to the student alone, in points, mean over "
        'pairs of equal seeds.',
    )
    progress = draw(
        'curves', figures.curves, 'Mean over the seeds; the band is their range.'
    ) + draw('losses', figures.losses, 'Training losses, likewise.')
    fidelity = draw(
        'fidelity',
        figures.fidelity,
        'Student against teacher at the last validation, each dot a run; dashed: what '
        'a copy of the teacher would have.',
    )
    sections = [
        Section('Results', result_notes(study), results, result_table(study)),
        Section('Classes', () if classes else [NO_CLASSES], classes),
        Section('Curves', (), progress),
        Section(
            'Fidelity',
            () if fidelity else [NO_FIDELITY],
            fidelity,
            fidelity_table(study) if fidelity else None,
        ),
        Section('Cost', COST_NOTES, (), cost_table(study)),
        Section('Pictures', notes, panels),
        Section('Runs', environments(study), (), run_table(study)),
    ]
    kept = [s for s in sections if s.texts or s.pictures or s.table]
    return Page(title, finding(study), warnings(study), kept)


NO_CLASSES = (
    'Not shown: the logs hold no IoU of each class, or there is no student alone of '
    'the same seed to compare with.'
)
NO_FIDELITY = (
    "Not measured in these runs: add dict(type='mmkd.FidelityMetric') to val_evaluator."
)
COST_NOTES = (
    'Parameters include auxiliary heads. FLOPs are of one forward pass without them, a '
    'multiplication and an addition being two. Time is the median of the logged '
    'iterations, with data loading; it depends on what else the machine did. Memory '
    'is the peak in training: of the GPU, or of the process where there is none.',
)


def finding(study: Study) -> str:
    """What comes out, in one sentence."""
    rows = [r for r in study.summary() if r['config'] in study.distillations]
    if not rows:
        return f'{len(study.runs)} methods, no distillation among them.'
    best = max(rows, key=lambda row: row['mean'])
    name = study.names[best['config']]
    text = f'{name} reaches {spread(best["mean"], best["sd"])} {study.metric}'
    if best['difference'] is None:
        return f'{text}.'
    difference = best['difference']
    side = 'above' if difference >= 0 else 'below'
    text += f', {spread(abs(difference), best["difference sd"])} {side} the student '
    text += f'alone, and is above it in {best["above"]} of {best["pairs"]} pairs'
    if best['p'] is None:
        return f'{text}: too few pairs for a test.'
    return f'{text} (paired t-test, p = {number(best["p holm"], 3)}{of(rows)}).'


def of(rows: list) -> str:
    """The correction of p, if there was something to correct."""
    tests = sum(row['p'] is not None for row in rows)
    return f', Holm-corrected for {tests} comparisons' if tests > 1 else ''


def warnings(study: Study) -> list[str]:
    """What a reader must know before believing the page."""
    found = []
    fewest = min(len(study.runs[name]) for name in study.compared)
    if fewest == 1:
        found.append('One run of a method ranks nothing: seeds differ, too.')
    if study.baseline is None:
        found.append(
            'No run of the student alone is among these, so there are no differences; '
            'train its config with the same recipe and seeds, or name it: --baseline.'
        )
    for run in study.unfinished:
        found.append(f'Left out, as it has not come to its end: {run.folder}.')
    return found


def result_notes(study: Study) -> list[str]:
    """How to read the table."""
    notes = [
        f'Mean ± standard deviation over the runs. Last: {study.metric} at the last '
        'validation. Best: at the best validation, which is picked on the data it is '
        'measured on, and so flatters every method. Differences are in pairs of equal '
        'seeds; p is of a paired t-test, two-sided, and p (Holm) is corrected for the '
        'number of methods.'
    ]
    if study.teacher_level is not None and study.teacher_method is None:
        notes.append(
            f'The teacher has {study.teacher_level:.2f}, on the first validation '
            'images (DistillHook.teacher_images).'
        )
    return notes


def result_table(study: Study) -> Table:
    """Level and difference of each method."""
    best = study.values(study.metric, best=True)
    rows = study.summary()
    cells = [
        [
            label(study, row['config']),
            str(row['runs']),
            spread(row['mean'], row['sd']),
            spread(*level(best[row['config']].values())),
            spread(row['difference'], row['difference sd'], '+'),
            f'{row["above"]} of {row["pairs"]}' if row['pairs'] else NONE,
            number(row['p'], 3),
            number(row['p holm'], 3),
        ]
        for row in rows
    ]
    means = {
        row['config']: row['mean']
        for row in rows
        if row['config'] in study.distillations
    }
    first = max(means, key=means.get) if means else None
    place = next((i for i, row in enumerate(rows) if row['config'] == first), None)
    columns = ['method', 'runs', f'last {study.metric}', 'best', 'difference', 'above']
    return Table([*columns, 'p', 'p (Holm)'], cells, place)


def fidelity_table(study: Study) -> Table:
    """The means behind the figure."""
    measured = study.fidelity()
    kinds = list(next(iter(measured.values())))
    rows = [
        [study.names[method], *(spread(*level(found[k]), digits=3) for k in kinds)]
        for method, found in measured.items()
    ]
    return Table(['method', *map(heading, kinds)], rows)


def cost_table(study: Study) -> Table:
    """Size, arithmetic and speed of each network and its training."""
    rows = []
    for method, runs in study.runs.items():
        pace = [run.median('time') for run in runs.values()]
        memory = [run.median('memory') for run in runs.values()]
        rows.append(
            [
                label(study, method),
                *network_cells(student_cost(study.first(method).config)),
                number(mean([p for p in pace if p]) * 1000 if any(pace) else None, 0),
                number(max((m for m in memory if m), default=None), 0),
            ]
        )
    if study.distillations and study.teacher_method is None:
        cost = teacher_cost(study.first(study.distillations[0]).config)
        if cost is not None:
            rows.append(['teacher', *network_cells(cost), NONE, NONE])
    columns = ['method', 'parameters, M', 'GFLOPs', 'image', 'ms per iteration']
    return Table([*columns, 'memory, MiB'], rows)


def network_cells(cost: Cost) -> list[str]:
    """A network's part of the costs."""
    flops = NONE if cost.flops is None else f'{cost.flops / 1e9:.3g}'
    size = NONE if cost.size is None else '{}x{}'.format(*cost.size)
    return [f'{cost.parameters / 1e6:.3g}', flops, size]


def run_table(study: Study) -> Table:
    """Where each number comes from."""
    rows = [
        [
            str(run.folder),
            study.names[method],
            str(seed),
            f'{run.total} {run.unit}s',
            f'{run.last[study.metric]:.2f}',
        ]
        for method, runs in study.runs.items()
        for seed, run in runs.items()
    ]
    return Table(['folder', 'method', 'seed', 'length', f'last {study.metric}'], rows)


def environments(study: Study) -> list[str]:
    """On what the runs were made."""
    found = {
        ', '.join(f'{k} {v}' for k, v in run.environment.items()): None
        for runs in study.runs.values()
        for run in runs.values()
    }
    return [text for text in found if text]


def label(study: Study, method: str) -> str:
    """The full name of a method, and what it is."""
    roles = {study.baseline: 'the student alone', study.teacher_method: 'the teacher'}
    return f'{method} ({roles[method]})' if method in roles else method


def heading(kind: str) -> str:
    """What stands above a figure of fidelity."""
    words = kind.split('_')
    return ' '.join(word.upper() if word in ('kl', 'ece') else word for word in words)


def level(values: Iterable[float]) -> tuple[float | None, float | None]:
    """Mean and standard deviation, as far as there are any."""
    values = list(values)
    return (
        mean(values) if values else None,
        stdev(values) if len(values) > 1 else None,
    )


def spread(
    value: float | None, sd: float | None, sign: str = '', digits: int = 2
) -> str:
    """A value with its standard deviation."""
    if value is None:
        return NONE
    text = f'{value:{sign}.{digits}f}'
    return text if sd is None else f'{text} ± {sd:.{digits}f}'


def number(value: float | None, digits: int) -> str:
    """A number; what rounds to nothing is below that."""
    if value is None:
        return NONE
    if digits and 0 < value < 0.5 * 10**-digits:
        return f'< {10**-digits:.{digits}f}'
    return f'{value:.{digits}f}'
