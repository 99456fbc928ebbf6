"""What the studies' scripts share: the command line, and the page that they fill."""

import argparse
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmkd.analysis.figures import draw_runs
from mmkd.analysis.statistics import format_mean, summarize
from studies.trials import Trial, Trials
from mmkd.cli.console import one_line_errors, silence_import_warnings
from mmkd.errors import UserError

DPI = 130
WIDTH = 8.6  # inches
COLOURS = [c for c in colormaps['tab10'].colors if len(set(c)) > 1]  # no grey
DOTS = 'Each run as a dot, the mean of each method as a line'
Values = Mapping[str, Mapping[int, float]]


class Page:
    """A page of Markdown whose tables and figures are drawn from a study's trials.

    What is called ``name`` stands between ``<!-- name -->`` and ``<!-- end -->``.
    Figures are PNG files in a folder of the page's name.

    Args:
        path: Of the page.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.folder = path, path.with_suffix('')

    def fill(self, name: str, columns: Sequence[str], rows: Iterable[Sequence]) -> None:
        """Puts a table in its place.

        Raises:
            UserError: if the page has no place for it.
        """
        lines = [columns, ['---'] * len(columns), *rows]
        self.put(name, '\n'.join(f'| {" | ".join(map(str, line))} |' for line in lines))

    def save(self, name: str, figure: Figure, text: str) -> None:
        """Writes a figure and shows it in its place; the same data give the same bytes.

        Args:
            name: Of its place and its file.
            figure: The figure.
            text: What is to be seen, for those who do not see it.

        Raises:
            UserError: if the page has no place for it.
        """
        path = self.folder / f'{name}.png'
        figure.savefig(path, dpi=DPI, metadata={'Software': ''})
        self.put(path.name, f'![{text}]({self.folder.name}/{path.name})')

    def put(self, name: str, content: str) -> None:
        """Puts lines in the place of a name.

        Raises:
            UserError: if the page has no such place.
        """
        place = re.compile(
            rf'(<!-- {re.escape(name)} -->\n)((?!<!--).)*(<!-- end -->)', re.DOTALL
        )
        text = self.path.read_text()
        if len(place.findall(text)) != 1:
            raise UserError(f"{self.path}: not one place '<!-- {name} -->' to fill")
        filled = place.sub(lambda found: f'{found[1]}{content}\n{found[3]}', text)
        self.path.write_text(filled)


def study(
    doc: str,
    trials: Trials,
    stages: Sequence[Callable[[Trials], Sequence[Trial]]],
    draw: Callable[[Trials], None],
) -> None:
    """Trains what is missing, stage by stage, then draws the page.

    Args:
        doc: What the script is, for ``--help``.
        trials: Those that are done.
        stages: Each gives its trials, whose settings may depend on what is done.
        draw: Fills the page.
    """
    kind = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=doc, formatter_class=kind)
    parser.add_argument('--jobs', type=int, default=1, help='trainings at once')
    parser.add_argument('--draw', action='store_true', help='train nothing')
    args = parser.parse_args()
    silence_import_warnings()
    with one_line_errors():
        for stage in stages:
            if not args.draw:
                trials.complete(stage(trials), args.jobs)
            elif missing := trials.missing(stage(trials)):
                raise UserError(
                    f'{trials.path}: trials are missing, such as {missing[0].name}; '
                    'leave out --draw to train them'
                )
        draw(trials)


def comparison(
    values: Values, baseline: str, metric: str
) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of a table: each method, and its difference to one of them."""
    columns = ['method', 'runs', metric, f'difference to {baseline}']
    rows = []
    for row in summarize(values, baseline):
        cells = [row['config'], row['runs'], format_mean(row['mean'], row['sd'])]
        if row['pairs']:
            cells.append(format_mean(row['difference'], row['difference sd'], '+'))
            cells.append(f'{row["above"]} of {row["pairs"]}')
        cells += [probability(row[kind]) for kind in ('p', 'p holm') if row['pairs']]
        rows.append(cells + [''] * (7 - len(cells)))
    return [*columns, 'above', 'p', 'p (Holm)'], rows


def probability(p: float | None) -> str:
    """A p value in three digits."""
    if p is None:
        return ''
    return '< 0.001' if p < 0.0005 else f'{p:.3f}'


def dots(values: Values, metric: str) -> Figure:
    """Each run as a dot, each method's mean as a line; the first one's goes through."""
    figure = Figure((WIDTH, 0.9 + 0.36 * len(values)), layout='constrained')
    axes = figure.subplots()
    colours = ['0.5', *COLOURS * len(values)]
    for place, (runs, colour) in enumerate(zip(values.values(), colours, strict=False)):
        draw_runs(axes, place, runs.values(), colour)
    first = next(iter(values.values()))
    axes.axvline(mean(first.values()), color='0.7', lw=1, ls='--', zorder=1)
    axes.set(xlabel=metric, ylim=(len(values) - 0.4, -0.8))
    axes.set_yticks(range(len(values)), values)
    plain(axes)
    return figure


def lines(axes: Axes, points: Mapping[float, float], label: str) -> None:
    """One run each against a setting."""
    places = sorted(points)
    axes.plot(places, [points[place] for place in places], 'o-', ms=4, label=label)


def ticks(axes: Axes) -> None:
    """A logarithmic axis with a tick at each point of the lines."""
    axes.set_xscale('log', base=2)
    axes.set_xticks(sorted({x for line in axes.lines for x in line.get_xdata()}))
    axes.xaxis.set_major_formatter(lambda value, _: f'{value:g}')


def plain(axes: Axes) -> None:
    """Takes away what carries no data."""
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(color='0.93')
    axes.set_axisbelow(True)
