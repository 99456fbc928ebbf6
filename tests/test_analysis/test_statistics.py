import pytest
from scipy.stats import ttest_rel

from mmkd.analysis.statistics import holm, paired_test, summarize

VALUES = {
    'alone': {0: 10.0, 1: 12.0, 2: 17.0},
    'kd': {0: 11.0, 1: 15.0},
    'lskd': {3: 20.0},
    'none': {},
    'bdd': {2: 18.5, 1: 11.5, 0: 13.0, 4: 90.0},
}


def test_levels_and_differences():
    alone, kd, lskd, none, bdd = summarize(VALUES, 'alone')
    assert (alone['mean'], alone['runs'], alone['pairs']) == (13.0, 3, None)
    assert alone['sd'] == pytest.approx(13**0.5)  # ((-3)^2 + (-1)^2 + 4^2) / 2
    assert (alone['difference'], alone['p']) == (None, None)
    assert (kd['mean'], kd['difference'], kd['pairs'], kd['above']) == (13, 2, 2, 2)
    assert kd['difference sd'] == pytest.approx(2**0.5)  # of 1 and 3
    assert (lskd['mean'], lskd['sd'], lskd['pairs']) == (20.0, None, 0)
    assert (lskd['difference'], lskd['p'], lskd['p holm']) == (None, None, None)
    assert (none['runs'], none['mean']) == (0, None)
    assert (bdd['pairs'], bdd['above'], bdd['runs']) == (3, 2, 4)
    assert bdd['difference'] == pytest.approx((3 - 0.5 + 1.5) / 3)


def test_p_is_scipys_of_the_pairs():
    *_, bdd = rows = summarize(VALUES, 'alone')
    p = ttest_rel([13.0, 11.5, 18.5], [10.0, 12.0, 17.0]).pvalue
    assert bdd['p'] == pytest.approx(p)
    kd = rows[1]
    assert bdd['p holm'] == pytest.approx(max(bdd['p'], 2 * kd['p']))


def test_no_baseline():
    for row in summarize(VALUES, None):
        assert row['difference'] is row['p'] is row['pairs'] is None


def test_too_little_for_a_test():
    assert paired_test([]) is None
    assert paired_test([1.0]) is None
    assert paired_test([0.5, 0.5]) is None


def test_holm():
    # What R's p.adjust gives for these.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([None, 0.04]) == [None, 0.04]
