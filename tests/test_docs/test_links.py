"""Links between pages lead to files and headings; no page repeats another's table."""

import itertools
import re
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
FOLDERS = ('.', 'docs', 'configs', 'configs/*', 'data', 'studies', 'studies/*', 'tests')
PAGES = [page for folder in FOLDERS for page in sorted(REPO.glob(f'{folder}/*.md'))]
LINK = re.compile(r'\]\(([^)\s]+)\)')
CODE = re.compile(r'^```.*?^```$', re.MULTILINE | re.DOTALL)
RULE = re.compile(r'\|( *:?-+:? *\|)+')


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return CODE.sub('', page.read_text())


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r'^#+ (.+)$', prose(page), re.MULTILINE)
    texts = (re.sub(r'\[([^]]*)\]\([^)]*\)', r'\1', heading) for heading in headings)
    return {re.sub(r'[^\w\- ]', '', text.lower()).replace(' ', '-') for text in texts}


def rows(page: Path) -> set[str]:
    """Return the rows of a page's tables, without their headers."""
    lines = prose(page).splitlines()
    return {
        line
        for line, after in itertools.zip_longest(lines, lines[1:], fillvalue='')
        if line.startswith('|') and not RULE.fullmatch(line) and not RULE.match(after)
    }


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(REPO)))
def test_links(page):
    for target in LINK.findall(prose(page)):
        if '://' in target:
            continue
        name, _, anchor = target.partition('#')
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


def test_no_page_repeats_a_table_of_another():
    """A single equal row, of a setting that methods share, is none."""
    tables = {page.relative_to(REPO): rows(page) for page in PAGES}
    for one, other in itertools.combinations(tables, 2):
        common = tables[one] & tables[other]
        assert len(common) < 2, f'{one} and {other} share {common}'


@pytest.mark.parametrize('name', ['docs/guarantees.md', 'tests/README.md'])
def test_tests_that_a_page_names(name):
    named = re.findall(r'`(test_[\w/]*(?:\.py|/))`', prose(REPO / name))
    assert named
    for test in named:
        assert (REPO / 'tests' / test).exists(), test
