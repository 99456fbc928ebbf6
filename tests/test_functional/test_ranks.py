import numpy as np
import pytest
import torch
from scipy.stats import rankdata, spearmanr

from mmkd.functional.ranks import average_ranks, rank_correlation


def rows(ties, classes=7, number=50, device='cpu'):
    """Logits of both networks; with ties, of few different values."""
    torch.manual_seed(0)
    student, teacher = torch.randn(2, number, classes).to(device)
    return (student.round(), teacher.round()) if ties else (student, teacher)


@pytest.mark.parametrize('ties', [False, True])
def test_average_ranks(ties, device):
    student, _ = rows(ties, device=device)
    expected = rankdata(student.cpu().numpy(), axis=-1)
    assert np.array_equal(average_ranks(student).cpu().numpy(), expected)


@pytest.mark.parametrize('ties', [False, True])
@pytest.mark.parametrize('classes', [2, 3, 19])
def test_rank_correlation(ties, classes, device):
    student, teacher = rows(ties, classes, device=device)
    found = rank_correlation(student, teacher)
    for rho, s, t in zip(
        found, student.cpu().numpy(), teacher.cpu().numpy(), strict=True
    ):
        if np.ptp(s) == 0 or np.ptp(t) == 0:
            assert rho == 0
        else:
            assert float(rho) == pytest.approx(spearmanr(s, t).statistic, abs=1e-12)


def test_any_axes_before_the_classes():
    student, teacher = (x.view(5, 10, 7) for x in rows(ties=True))
    found = rank_correlation(student, teacher)
    expected = rank_correlation(student.flatten(0, 1), teacher.flatten(0, 1))
    assert torch.equal(found.flatten(), expected)


def test_scale_and_shift_change_nothing():
    student, teacher = rows(ties=False)
    expected = rank_correlation(student, teacher)
    torch.testing.assert_close(rank_correlation(3 * student + 5, teacher), expected)
    torch.testing.assert_close(rank_correlation(-student, teacher), -expected)
