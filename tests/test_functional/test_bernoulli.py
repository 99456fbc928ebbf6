"""Sigmoids as softmaxes over two classes, and the sigmoids of a softmax."""

import pytest
import torch
from scipy.special import expit, logsumexp, softmax
from torch.autograd import gradcheck
from torch.testing import assert_close

from mmkd.functional import bernoulli_logits, log_odds


@pytest.mark.parametrize('tau', [0.5, 4.0])
@pytest.mark.parametrize('shape', [(3, 4), (2, 3, 4, 5)])
def test_bernoulli_logits_are_those_of_the_sigmoids(shape, tau, device):
    logits = 5 * torch.randn(shape, dtype=torch.float64, device=device)
    found = (bernoulli_logits(logits) / tau).softmax(1).cpu()
    assert found.shape == (shape[0] * shape[1], 2, *shape[2:])
    on = torch.from_numpy(expit(logits.cpu().numpy() / tau)).flatten(0, 1)
    assert_close(found, torch.stack([1 - on, on], 1))


@pytest.mark.parametrize('shape', [(6, 2), (6, 5), (2, 3, 4, 5)])
def test_log_odds_have_the_probabilities_of_the_softmax(shape, device):
    logits = 3 * torch.randn(shape, dtype=torch.float64, device=device)
    assert_close(
        log_odds(logits).sigmoid().cpu(),
        torch.from_numpy(softmax(logits.cpu().numpy(), axis=1)),
    )
    assert gradcheck(log_odds, logits[:1].requires_grad_())


def test_log_odds_of_two_classes_are_the_difference():
    logits = 100 * torch.randn(50, 2, dtype=torch.float64)
    difference = logits[:, 1] - logits[:, 0]
    assert_close(log_odds(logits), torch.stack([-difference, difference], 1))


@pytest.mark.parametrize('largest', [30.0, 1e4, 1e34])
def test_log_odds_of_confident_logits(largest, dtype, device):
    """A probability that rounds to 1 has finite odds."""
    if largest > torch.finfo(dtype).max:
        pytest.skip('not representable')
    logits = torch.tensor([[largest, 0.0, -2.0], [0.0, -largest, 1.0]]).to(
        device, dtype
    )
    found = log_odds(logits)
    assert found.dtype == torch.promote_types(dtype, torch.float32)
    exact = logits.double().cpu().numpy()
    expected = [
        [row[c] - logsumexp([x for i, x in enumerate(row) if i != c]) for c in range(3)]
        for row in exact
    ]
    expected = torch.tensor(expected, dtype=torch.float64)
    assert_close(found.cpu().double(), expected, rtol=1e-6, atol=1e-6)
