"""Page of a study, and the style of its figures."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmkd.errors import UserError

DPI = 130
WIDTH = 8.6  # inches


class Page:
    """Markdown page with tables and figures generated from the trials of a study.

    The content ``name`` is inserted between ``<!-- name -->`` and ``<!-- end -->``.
    Figures are PNG files in the folder of the page.

    Args:
        path: Path of the page.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.folder = path, path.parent

    def fill(self, name: str, columns: Sequence[str], rows: Iterable[Sequence]) -> None:
        """Insert a table.

        Raises:
            UserError: if the page has no place for it.
        """
        lines = [columns, ['---'] * len(columns), *rows]
        self.put(name, '\n'.join(f'| {" | ".join(map(str, line))} |' for line in lines))

    def save(self, name: str, figure: Figure, text: str) -> None:
        """Write a figure deterministically and insert it.

        Args:
            name: Name of its place and its file.
            figure: The figure.
            text: Alternative text.

        Raises:
            UserError: if the page has no place for it.
        """
        path = self.folder / f'{name}.png'
        figure.savefig(path, dpi=DPI, metadata={'Software': ''})
        self.put(path.name, f'![{text}]({path.name})')

    def put(self, name: str, content: str) -> None:
        """Insert lines at the place of a name.

        Raises:
            UserError: if the page has no such place.
        """
        place = re.compile(
            rf'(<!-- {re.escape(name)} -->\n)((?!<!--).)*(<!-- end -->)', re.DOTALL
        )
        text = self.path.read_text()
        if len(place.findall(text)) != 1:
            raise UserError(
                f"{self.path}: must contain '<!-- {name} -->' exactly once; add it, or "
                'remove the duplicates'
            )
        filled = place.sub(lambda found: f'{found[1]}{content}\n{found[3]}', text)
        self.path.write_text(filled)


def draw_line(axes: Axes, points: Mapping[float, float], label: str) -> None:
    """Draw the metric of single runs against a setting."""
    settings = sorted(points)
    values = [points[setting] for setting in settings]
    axes.plot(settings, values, 'o-', ms=4, label=label)


def style_log_axis(axes: Axes) -> None:
    """Make the x axis logarithmic, with a tick at each point, and add a legend."""
    axes.set_xscale('log', base=2)
    axes.set_xticks(sorted({x for line in axes.lines for x in line.get_xdata()}))
    axes.xaxis.set_major_formatter(lambda value, _: f'{value:g}')
    axes.legend(frameon=False, fontsize=8)
    style(axes)


def style(axes: Axes) -> None:
    """Remove two spines and draw a light grid."""
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(color='0.93')
    axes.set_axisbelow(True)
