import doctest
import importlib
import pkgutil

import pytest

import mmkd
from mmkd import functional

MODULES = [
    'mmkd',
    *(info.name for info in pkgutil.walk_packages(mmkd.__path__, 'mmkd.')),
]


@pytest.mark.parametrize('name', MODULES)
def test_examples(name):
    if name == 'mmkd.ops.triton_kernel':
        pytest.importorskip('triton', reason='CPU builds of PyTorch have none')
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def test_functional_has_examples():
    for name in functional.__all__:
        (found,) = doctest.DocTestFinder().find(getattr(functional, name), name)
        assert found.examples, name
