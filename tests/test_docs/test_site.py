"""The documentation site builds without a warning, and its links lead somewhere."""

import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

REPO = Path(__file__).parents[2]


class Links(HTMLParser):
    """Collect the targets of a page's links and images, and its anchors."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.targets, self.anchors = set(), {''}
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ('href', 'src') and value:
                self.targets.add(value)
            elif name == 'id':
                self.anchors.add(value)


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    """The site, built as ``make docs`` does."""
    pytest.importorskip('sphinx')
    folder = tmp_path_factory.mktemp('site')
    recipe = (REPO / 'Makefile').read_text().split('\ndocs: install\n\t')[1]
    command = recipe.splitlines()[0].replace('build/docs', str(folder))
    done = subprocess.run(
        command.replace('$(BIN)/python', sys.executable),
        shell=True,
        cwd=REPO,
        env={**os.environ, 'PYTHONPATH': str(REPO)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return folder


def test_links_lead_to_pages_and_headings(site):
    pages = {page: Links(page) for page in site.rglob('*.html')}
    broken = set()
    for page, links in pages.items():
        for target in links.targets:
            parts = urlsplit(target)
            if parts.scheme:
                continue
            path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            found = pages[path].anchors if path in pages else {parts.fragment}
            if not path.is_file() or parts.fragment not in found:
                broken.add((page.relative_to(site), target))
    assert not broken


def test_every_page_of_the_repository_is_in_the_site(site):
    for folder in ('.', 'docs', 'configs', 'configs/*', 'studies', 'studies/*'):
        for page in REPO.glob(f'{folder}/*.md'):
            assert (site / page.relative_to(REPO)).with_suffix('.html').exists(), page


@pytest.mark.parametrize(
    ('page', 'target'),
    [
        ('index', 'docs/install.html'),
        ('README', 'configs/kd/README.html'),  # a link to a folder
        ('CONTRIBUTING', 'configs/README.html'),  # configs/methods has no page
        ('docs/api/mmkd.losses', 'docs/api/mmkd.functional.html'),
    ],
)
def test_links_of_a_page(site, page, target):
    path = site / f'{page}.html'
    targets = Links(path).targets
    content = {link.partition('#')[0] for link in targets}
    assert site / target in {(path.parent / link).resolve() for link in content}


def test_api_has_the_docstrings(site):
    text = (site / 'docs/api/mmkd.functional.html').read_text()
    assert 'id="mmkd.functional.kl_divergence"' in text
    assert 'Hinton et al.' in text
    assert r'\[L = \frac{1}{M} \sum_m w_m \tau^2 D(p_m, q_m)\]' in text
