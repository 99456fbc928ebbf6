import pytest
import torch
from mmengine.registry import DefaultScope
from torch.testing import assert_close

from mmkd import losses
from mmkd.functional import balanced_kl_divergence, kl_divergence
from mmkd.losses.divergences import (
    BalancedKL,
    ForwardKL,
    ReverseKL,
    build_divergence,
)
from tests.divergence_formulas import FORMULAS
from tests.reference import pair

LOGITS = pair(2, 5, 3)
SCOPES = pytest.mark.parametrize('scope', [None, 'mmkd', 'mmseg', 'mmpretrain'])


@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(reverse_weight=7.0),
        dict(forward_weight=0.5, tau_reverse=1.5),
        dict(forward_weight=0.0, reverse_weight=2.0),
    ],
)
@pytest.mark.parametrize('dim', [1, 2])
def test_module_equals_function(options, dim):
    value = BalancedKL(**options)(*LOGITS, tau=4.0, dim=dim)
    expected = balanced_kl_divergence(*LOGITS, tau=4.0, dim=dim, **options)
    assert torch.equal(value, expected)


@pytest.mark.parametrize(('kind', 'reverse'), [(ForwardKL, False), (ReverseKL, True)])
def test_forward_and_reverse(kind, reverse):
    expected = kl_divergence(*LOGITS, tau=4.0, reverse=reverse)
    assert_close(kind()(*LOGITS, tau=4.0), expected)
    assert isinstance(kind(), BalancedKL)


@SCOPES
@pytest.mark.parametrize(
    'divergence',
    [
        dict(type='BalancedKL', forward_weight=0, reverse_weight=1),
        dict(type='mmkd.ReverseKL'),
        dict(type=ReverseKL),
        'ReverseKL',
        'mmkd.ReverseKL',
        ReverseKL,
        ReverseKL(),
    ],
    ids=repr,
)
def test_build(divergence, scope):
    with DefaultScope.overwrite_default_scope(scope):
        built = build_divergence(divergence)
    assert isinstance(built, BalancedKL)
    assert (built.forward_weight, built.reverse_weight) == (0, 1)


@SCOPES
@pytest.mark.parametrize('name', [name for name, _, _ in FORMULAS.values()])
def test_build_by_name(name, scope):
    with DefaultScope.overwrite_default_scope(scope):
        built = build_divergence(name)
    assert type(built) is getattr(losses, name)
    assert (built(*LOGITS, tau=2.0) > 0).all()


def test_build_leaves_the_config_alone():
    config = dict(type='BalancedKL', reverse_weight=7.0)
    build_divergence(config)
    assert config == dict(type='BalancedKL', reverse_weight=7.0)


@SCOPES
@pytest.mark.parametrize('divergence', ['BalancdKL', dict(type='BalancdKL')])
def test_unknown_type_gets_a_suggestion(divergence, scope):
    with (
        DefaultScope.overwrite_default_scope(scope),
        pytest.raises(KeyError, match="'BalancdKL': did you mean BalancedKL"),
    ):
        build_divergence(divergence)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(forward_weight=-1), 'forward_weight'),
        (dict(reverse_weight=float('nan')), 'reverse_weight'),
        (dict(forward_weight=0, reverse_weight=0), 'reverse_weight'),
        (dict(tau_reverse=0), '^tau_reverse'),
        (dict(tau_reverse=float('nan')), '^tau_reverse'),
    ],
)
def test_refuses_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        BalancedKL(**options)


def test_prints_its_arguments():
    shown = repr(BalancedKL(0.5, 7.0, 2.0))
    assert shown == (
        'BalancedKL(forward_weight=0.5, reverse_weight=7.0, tau_reverse=2.0)'
    )


def test_temperature_is_1_by_default():
    logits = pair(4, 5)
    assert torch.equal(BalancedKL()(*logits), BalancedKL()(*logits, 1.0))
