"""The toy cases: the LSKD paper's figures, and gradients against closed forms."""

import re
import runpy
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from tests import divergence_formulas
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


def rows_of(text):
    """Cells of the lines that begin with a probability."""
    lines = text.splitlines()
    return [line.split() for line in lines if re.match(r' \de-\d\d ', line)]


def test_printed_gradients(printed):
    text, _ = printed
    rows = rows_of(text.split('other divergences')[0])
    assert [float(row[0]) for row in rows] == [0.5, 0.1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6]
    for p, *cells in (map(float, row) for row in rows):
        uniform = closed_forms(p, 1 / CLASSES)
        assert cells[:3] == pytest.approx([*uniform, sum(uniform)], abs=6e-5)
        high = closed_forms(p, 10 * p) if p < 0.1 else ()
        assert cells[3:] == pytest.approx([*high, *closed_forms(p, p / 10)], rel=0.06)


def test_printed_gradients_of_other_divergences(printed):
    text, _ = printed
    rows = rows_of(text.split('other divergences')[1])
    assert [float(row[0]) for row in rows] == [0.5, 0.1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6]
    formulas = (
        partial(divergence_formulas.alpha_beta, alpha=0.8, beta=0.3),
        partial(divergence_formulas.jensen_shannon, lam=0.5),
        partial(divergence_formulas.skew_kl, lam=0.1, reverse=False),
        partial(divergence_formulas.skew_kl, lam=0.1, reverse=True),
        divergence_formulas.todi,
        partial(divergence_formulas.adaptive_kl, mu=0.5),
        partial(divergence_formulas.entropy_balanced_kl, weight=3.0),
    )
    for p, *cells in (map(float, row) for row in rows):
        others = CLASSES - 1
        teacher = torch.tensor([p] + [(1 - p) / others] * others).double()
        for cell, formula in zip(cells, formulas, strict=True):
            logits = torch.zeros(CLASSES, dtype=torch.float64, requires_grad=True)
            formula(teacher, logits.softmax(0)).backward()
            # At p = 0.1 rounding decides if AdaptiveKL's head ends with a class.
            tolerance = 4e-4 if p == 0.1 else 6e-5
            assert cell == pytest.approx(logits.grad[0].item(), abs=tolerance)


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
