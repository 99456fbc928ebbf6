"""Self-contained HTML page."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader

DPI = 150  # resolution of the pictures


@dataclass(frozen=True)
class Picture:
    """PNG file with a caption."""

    path: Path
    caption: str

    @property
    def width(self) -> int:
        """Width in CSS pixels, 96 per inch."""
        return int.from_bytes(self.path.read_bytes()[16:20], 'big') * 96 // DPI

    @property
    def data(self) -> str:
        """Contents of the file in base64."""
        return base64.b64encode(self.path.read_bytes()).decode()


@dataclass(frozen=True)
class Table:
    """Table of text.

    Args:
        columns: Column headings.
        rows: Rows with one cell per column.
        best: Index of a row to print in bold.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    best: int | None = None


@dataclass(frozen=True)
class Section:
    """Section of the page: texts, then pictures, then a table."""

    title: str
    texts: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    table: Table | None = None


@dataclass(frozen=True)
class HtmlPage:
    """Page with sections of texts, pictures and tables.

    Args:
        title: Title of the page.
        finding: Result in one sentence.
        warnings: Limitations of the result.
        sections: Sections of the page.
    """

    title: str
    finding: str
    warnings: Sequence[str] = ()
    sections: list[Section] = field(default_factory=list)

    def render(self) -> str:
        """Return the page as HTML with embedded pictures.

        Bytes in folder names that are not valid UTF-8 become question marks.
        """
        folder = Path(__file__).parent
        environment = Environment(
            loader=FileSystemLoader(folder),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        text = environment.get_template('report.html').render(vars(self))
        return text.encode('utf-8', 'replace').decode()
