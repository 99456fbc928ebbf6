import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import mmkd
from mmkd import functional

MODULES = [
    'mmkd',
    *(info.name for info in pkgutil.walk_packages(mmkd.__path__, 'mmkd.')),
]
ROOT = Path(__file__).parents[1]
PAGES = [ROOT / 'README.md', *sorted(ROOT.glob('docs/*.md'))]


@pytest.mark.parametrize('name', MODULES)
def test_examples(name):
    if name.startswith('mmkd.ops.triton_'):
        pytest.importorskip('triton', reason='CPU builds of PyTorch have none')
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def test_functional_has_examples():
    for name in functional.__all__:
        (found,) = doctest.DocTestFinder().find(getattr(functional, name), name)
        assert found.examples, name


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_pages(page):
    """The sessions in README and docs."""
    result = doctest.testfile(str(page), module_relative=False)
    assert result.failed == 0
