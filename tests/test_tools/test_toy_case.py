"""The toy cases: the LSKD paper's figures, and gradients against closed forms."""

import re
import runpy
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import HANGS

from .conftest import TOOLS, environment

TOOL = TOOLS / 'analysis/toy_case.py'
CLASSES = 19


def closed_forms(p, q):
    """Forward KL's q - p and reverse KL's q (r - m), for one class of many."""
    p, q = (np.array([x] + [(1 - x) / (CLASSES - 1)] * (CLASSES - 1)) for x in (p, q))
    r = np.log(q / p)
    return (q - p)[0], (q * (r - (q * r).sum()))[0]


@pytest.fixture(scope='module')
def printed(tmp_path_factory):
    """Output of the command and its picture."""
    picture = tmp_path_factory.mktemp('toy') / 'new' / 'toy_case.png'
    command = [sys.executable, str(TOOL), '--out', str(picture)]
    env = {**environment(), 'COLUMNS': '80'}
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=HANGS
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, picture


def test_losses(printed):
    text, _ = printed
    losses = re.findall(r'S([12]) .* (dog|bird) +(\d\.\d{4})', text)
    assert losses == [
        ('1', 'bird', '0.1749'),
        ('2', 'dog', '0.3457'),
        ('1', 'bird', '0.0995'),
        ('2', 'dog', '0.0000'),
    ]
    assert re.search(r'plain +KD prefers S1, which says bird', text)
    assert re.search(r'standardized +KD prefers S2, which says dog', text)
    assert max(map(len, text.splitlines())) <= 80


def test_printed_gradients(printed):
    text, _ = printed
    rows = [line.split() for line in text.splitlines() if re.match(r' \de-\d\d ', line)]
    assert [float(row[0]) for row in rows] == [0.5, 0.1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6]
    for p, *cells in (map(float, row) for row in rows):
        uniform = closed_forms(p, 1 / CLASSES)
        assert cells[:3] == pytest.approx([*uniform, sum(uniform)], abs=6e-5)
        high = closed_forms(p, 10 * p) if p < 0.1 else ()
        assert cells[3:] == pytest.approx([*high, *closed_forms(p, p / 10)], rel=0.06)


@pytest.mark.parametrize('q', [1 / CLASSES, 0.3, 1e-4])
def test_gradients(q):
    gradient_of = runpy.run_path(str(TOOL))['gradient_of_class']
    teacher = 10.0 ** -torch.arange(1, 7, dtype=torch.float64)
    student = torch.full_like(teacher, q)
    expected = np.array([closed_forms(p, q) for p in teacher.tolist()])
    for weights in ((1, 0), (0, 1), (1, 1), (0.5, 7)):
        gradient = gradient_of(teacher, student, *weights)
        np.testing.assert_allclose(gradient, expected @ weights, rtol=1e-9, atol=1e-15)


def test_picture(printed):
    _, path = printed
    with Image.open(path) as picture:
        assert picture.format == 'PNG'
        assert min(picture.size) > 600
