"""The fenced blocks of a page, and what a reader does with each."""

import re
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(
    r'(?:^<!-- needs: (?P<needs>.+?) -->\n)?'
    r'^```(?P<language>shell|python)\n(?P<text>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)
FILE = re.compile(r'# (?P<name>\w+\.py)(?P<more>, continued)?\n')


@dataclass(frozen=True)
class Block:
    """A block of commands, of Python, or of a file that its first line names.

    ``needs`` is what a comment before the fence says that it cannot do without:
    ``<!-- needs: a GPU -->``. Readers of the page do not see it.
    """

    place: str
    language: str
    text: str
    needs: str | None

    @property
    def script(self) -> str:
        """Shell commands that run the block."""
        if self.language == 'shell':
            return self.text
        file = FILE.match(self.text)
        name = file['name'] if file else 'block.py'
        how = '>>' if file and file['more'] else '>'
        command = '' if file else f'python {name}\n'
        return f"cat {how} {name} <<'END'\n{self.text}END\n{command}"


def read_blocks(page: Path) -> list[Block]:
    """The shell and Python blocks of a page; sessions (>>>) are doctest's."""
    text, blocks = page.read_text(), []
    for found in FENCE.finditer(text):
        if found['text'].startswith('>>>'):
            continue
        line = text.count('\n', 0, found.start('text'))
        place = f'{page.name}:{line}'
        blocks.append(Block(place, found['language'], found['text'], found['needs']))
    return blocks
