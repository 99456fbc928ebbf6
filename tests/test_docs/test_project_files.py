"""Files about the project agree with the code."""

import re
from pathlib import Path

import pytest
import yaml

import mmkd

REPO = Path(__file__).parents[2]


def test_citation_has_the_released_version():
    citation = yaml.safe_load((REPO / 'CITATION.cff').read_text())
    released = re.search(
        r'^## (\d\S+) \((\S+)\)$', (REPO / 'CHANGELOG.md').read_text(), re.MULTILINE
    )
    assert released.groups() == (citation['version'], str(citation['date-released']))
    assert mmkd.__version__.startswith(citation['version'])


@pytest.mark.parametrize(
    'path', sorted((REPO / '.github/ISSUE_TEMPLATE').glob('*.yml'))
)
def test_issue_templates_are_forms(path):
    """Each element has what GitHub requires of it."""
    form = yaml.safe_load(path.read_text())
    assert form['name']
    assert form['description']
    named = [element for element in form['body'] if element['type'] != 'markdown']
    ids = [element['id'] for element in named]
    assert ids
    assert len(set(ids)) == len(ids)
    assert all(element['attributes']['label'] for element in named)


def test_pre_commit_reads_its_config():
    clientlib = pytest.importorskip('pre_commit.clientlib')
    hooks = clientlib.load_config(REPO / '.pre-commit-config.yaml')['repos'][0]['hooks']
    assert 'ruff-check' in [hook['id'] for hook in hooks]
