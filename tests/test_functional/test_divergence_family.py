"""The divergences beside forward, reverse and balanced KL."""

import math
from functools import partial

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.testing import assert_close

from mmkd import losses
from mmkd.functional import (
    adaptive_kl_divergence,
    alpha_beta_divergence,
    balanced_kl_divergence,
    entropy_balanced_kl_divergence,
    jensen_shannon_divergence,
    kl_divergence,
    skew_kl_divergence,
    todi_divergence,
)
from tests.divergence_formulas import FORMULAS
from tests.divergence_formulas import alpha_beta as alpha_beta_formula
from tests.reference import computed_in, pair, value_and_gradient

FUNCTIONS = {
    'AlphaBeta': alpha_beta_divergence,
    'JensenShannon': jensen_shannon_divergence,
    'SkewKL': skew_kl_divergence,
    'ToDi': todi_divergence,
    'AdaptiveKL': adaptive_kl_divergence,
    'EntropyBalancedKL': entropy_balanced_kl_divergence,
}
EVERY = pytest.mark.parametrize('name', FORMULAS)
EXPONENTS = [
    (1, 0), (0, 1), (1, 1), (0.5, 0.5), (0.8, 0.3), (2, 3), (0.6, 0), (0, 1.4),
    (0.7, -0.7), (-0.4, 0.4), (0, 0), (-0.3, 0.8), (-0.8, 0.3), (-0.5, -0.4),
    (0.9, -0.2), (1e-3, 2e-3), (1e-5, 1e-5), (3e-6, -1e-6),
]  # fmt: skip


def function_of(name):
    """A divergence of student, teacher and further arguments by name."""
    kind, _, arguments = FORMULAS[name]
    return partial(FUNCTIONS[kind], **arguments)


@EVERY
@pytest.mark.parametrize('tau', [1.0, 4.0])
@pytest.mark.parametrize(
    ('shape', 'dim'), [((4, 3), 1), ((2, 19, 3), 1), ((3, 4, 6), -1), ((5, 2), 0)]
)
def test_equals_the_formula(name, shape, dim, tau, device):
    student, teacher = pair(*shape, device=device)
    _, formula, arguments = FORMULAS[name]

    def expected(student):
        rows = zip(
            *((x.movedim(dim, -1).flatten(0, -2) / tau) for x in (teacher, student)),
            strict=True,
        )
        values = [formula(*(x.softmax(0) for x in both), **arguments) for both in rows]
        return tau**2 * torch.stack(values).sum()

    found = value_and_gradient(
        lambda s: function_of(name)(s, teacher, tau=tau, dim=dim).sum(), student
    )
    assert_close(found, value_and_gradient(expected, student), rtol=1e-9, atol=1e-11)


@EVERY
def test_shape_and_module(name):
    kind, _, arguments = FORMULAS[name]
    student, teacher = pair(2, 5, 3, 4)
    for tau, dim in ((1.0, 1), (2.0, 2)):
        value = function_of(name)(student, teacher, tau=tau, dim=dim)
        assert value.shape == student.select(dim, 0).shape
        module = getattr(losses, kind)(**arguments)
        assert torch.equal(module(student, teacher, tau, dim), value)
    assert torch.equal(module(student, teacher), function_of(name)(student, teacher))
    shown = ', '.join(f'{key}={value}' for key, value in arguments.items())
    assert repr(module) == f'{kind}({shown})'


@pytest.mark.parametrize('kind', FUNCTIONS)
def test_defaults(kind):
    logits = pair(4, 5)
    defaults = {
        'AlphaBeta': dict(alpha=0.8, beta=0.3),
        'JensenShannon': dict(lam=0.5),
        'SkewKL': dict(lam=0.1, reverse=False),
        'AdaptiveKL': dict(mu=0.5),
        'EntropyBalancedKL': dict(weight=3.0),
    }.get(kind, {})
    module = getattr(losses, kind)
    value = module()(*logits)
    assert torch.equal(value, module(**defaults)(*logits))
    given = defaults if kind == 'AlphaBeta' else {}
    assert torch.equal(value, FUNCTIONS[kind](*logits, **given))


@EVERY
def test_zero_on_itself_and_positive(name, device):
    student, teacher = pair(2, 19, 4, 4, dtype=torch.float32, device=device)
    assert (function_of(name)(student, teacher) > 0).all()
    for logits in (student, 1e4 * student, torch.full_like(student, 3.0)):
        value, gradient = value_and_gradient(
            lambda s, t: function_of(name)(s, t).sum(), logits, logits.clone()
        )
        assert value == 0
        assert gradient.abs().max() < 1e-6


@pytest.mark.parametrize('name', sorted(set(FORMULAS) - {'todi', 'adaptive'}))
def test_gradient(name):
    """Of the others, whose weights are detached, finite differences would differ."""
    student, teacher = (x.requires_grad_() for x in pair(2, 4, 3))
    tau = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    function = function_of(name)

    def divergence(s, t, tau):
        return function(s, t, tau=tau)

    assert gradcheck(divergence, (student, teacher, tau))
    assert gradgradcheck(lambda s: divergence(s, teacher.detach(), 2.0), student)


@EVERY
def test_gradient_where_classes_agree(name):
    """Two classes have the same probability in both networks, exactly."""
    student = torch.tensor([[0.7, -1.1, 0.7, -1.1]], dtype=torch.float64)
    teacher = student[:, [1, 0, 2, 3]]
    _, formula, arguments = FORMULAS[name]
    found, expected = (
        value_and_gradient(function, student)
        for function in (
            lambda s: function_of(name)(s, teacher).sum(),
            lambda s: formula(teacher[0].softmax(0), s[0].softmax(0), **arguments),
        )
    )
    assert_close(found, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize('alpha_and_beta', EXPONENTS)
@pytest.mark.parametrize('scale', [1e-4, 0.3, 1.0])
def test_alpha_beta(alpha_and_beta, scale):
    """Equals the formula in the accuracy that the formula has; gradcheck."""
    student, teacher = (scale * x for x in pair(3, 7))
    a, b = alpha_and_beta
    function = partial(alpha_beta_divergence, alpha=a, beta=b)
    expected = [
        alpha_beta_formula(t.softmax(0), s.softmax(0), a, b)
        for s, t in zip(student, teacher, strict=True)
    ]
    divisors = [abs(x) for x in (a, b, a + b) if x]
    lost = 1e-15 / math.prod(divisors)  # by cancellation in the formula
    found = function(student, teacher)
    assert_close(found, torch.stack(expected), rtol=1e-7, atol=100 * lost)
    if scale == 1:
        assert gradcheck(function, (student.requires_grad_(), teacher.requires_grad_()))


@pytest.mark.parametrize('alpha_and_beta', [(1, 0), (0, 1)])
def test_alpha_beta_is_kl(alpha_and_beta):
    student, teacher = pair(2, 19, 3)
    found = alpha_beta_divergence(student, teacher, *alpha_and_beta, tau=2.0)
    expected = kl_divergence(student, teacher, 2.0, reverse=alpha_and_beta == (0, 1))
    assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_alpha_beta_is_the_squared_distance():
    student, teacher = pair(4, 7)
    expected = (student.softmax(1) - teacher.softmax(1)).square().sum(1) / 2
    assert_close(alpha_beta_divergence(student, teacher, 1.0, 1.0), expected)


@pytest.mark.parametrize(
    'limit', [(1, 0), (0.6, 0), (0, 1), (0, 1.4), (0.7, -0.7), (-0.4, 0.4), (0, 0)]
)
@pytest.mark.parametrize('step', [1e-8, 1e-10, 1e-12, 1e-15])
@pytest.mark.parametrize('direction', [(1, 0), (0, 1), (1, 1), (-1, 0.5)])
def test_limits_are_continuous(limit, step, direction):
    student, teacher = pair(4, 7)
    near = [x + step * y for x, y in zip(limit, direction, strict=True)]

    def at(alpha, beta):
        return value_and_gradient(
            lambda s: alpha_beta_divergence(s, teacher, alpha, beta).sum(), student
        )

    assert_close(at(*near), at(*limit), rtol=1e-6, atol=1e-6)


def test_gradient_of_alpha_beta_as_published():
    """dD / ds_j = (h_j - q_j sum h) / tau."""
    student, teacher = pair(1, 7)
    alpha, beta, tau = 0.8, 0.3, 2.0
    _, gradient = value_and_gradient(
        lambda s: alpha_beta_divergence(s, teacher, alpha, beta, tau).sum(), student
    )
    p, q = (teacher / tau).softmax(1), (student / tau).softmax(1)
    h = (q ** (alpha + beta) - p**alpha * q**beta) / alpha
    assert_close(gradient, tau**2 * (h - q * h.sum(1, keepdim=True)) / tau)


def test_skew_kl_without_skew_is_kl():
    student, teacher = pair(4, 7)
    for reverse in (False, True):
        found = skew_kl_divergence(student, teacher, 2.0, 0.0, reverse)
        assert torch.equal(found, kl_divergence(student, teacher, 2.0, reverse=reverse))


def test_mixtures_are_symmetric_and_bounded():
    student, teacher = (1e3 * x for x in pair(40, 7))
    found = jensen_shannon_divergence(student, teacher)
    assert_close(found, jensen_shannon_divergence(teacher, student))
    assert found.max() <= math.log(2) + 1e-12
    for reverse in (False, True):
        found = skew_kl_divergence(student, teacher, lam=0.1, reverse=reverse)
        assert_close(found.max().item(), math.log(10))


def test_todi_has_another_gradient_than_its_value():
    """The value is forward plus reverse KL."""
    student, teacher = pair(4, 7)
    todi, balanced = (
        value_and_gradient(lambda s, f=f: f(s, teacher, 2.0).sum(), student)
        for f in (todi_divergence, balanced_kl_divergence)
    )
    assert_close(todi[0], balanced[0])
    assert (todi[1] - balanced[1]).abs().max() > 0.1


@pytest.mark.parametrize(
    ('mu', 'head'), [(0.0, [1]), (0.8, [1]), (0.9, [1, 2]), (0.99, [1, 2, 3])]
)
def test_head_of_adaptive_kl(mu, head):
    """Its share of the error is the weight of forward KL."""
    p = torch.tensor([0.05, 0.75, 0.1, 0.1 - 1e-9, 1e-9], dtype=torch.float64)
    q = torch.tensor([0.3, 0.4, 0.15, 0.05, 0.1], dtype=torch.float64)
    student, teacher = q.log()[None], p.log()[None]
    error = (p - q).abs()
    w = sum(error[c] for c in head) / error.sum()
    expected = w * kl_divergence(student, teacher)
    expected += (1 - w) * kl_divergence(student, teacher, reverse=True)
    assert_close(adaptive_kl_divergence(student, teacher, mu=mu), expected)


def test_equal_entropies_weigh_alike():
    student, teacher = torch.tensor([[0.0, 2.0]]), torch.tensor([[2.0, 0.0]])
    found = entropy_balanced_kl_divergence(student, teacher)
    assert_close(found, balanced_kl_divergence(student, teacher))


@EVERY
@pytest.mark.parametrize('classes', [3, 150])
def test_huge_logits(name, classes, device):
    """One-hot with peaks apart, and logits of 1e34: finite as in float64."""
    student, teacher = torch.full((2, 2, classes), -1e4, device=device)
    student[:, 0] = teacher[:, 1] = 1e4
    student[1], teacher[1] = 1e30 * student[1], 1e30 * teacher[1]
    found, expected = (
        value_and_gradient(
            lambda s, t: function_of(name)(s, t, tau=2.0).sum(),
            student.to(dtype),
            teacher.to(dtype),
        )
        for dtype in (torch.float32, torch.float64)
    )
    for one, other in zip(found, expected, strict=True):
        assert one.isfinite().all()
        assert_close(one, other, rtol=1e-4, atol=1e-4, check_dtype=False)


@EVERY
def test_half_precision_is_computed_in_float32(name, device, dtype):
    precision = computed_in(dtype)
    student, teacher = pair(4, 19, dtype=dtype, device=device)
    value = function_of(name)(student, teacher, tau=4.0)
    assert value.dtype == precision
    expected = function_of(name)(student.to(precision), teacher.to(precision), tau=4.0)
    assert torch.equal(value, expected)
    with torch.autocast(device, torch.bfloat16):
        assert torch.equal(function_of(name)(student, teacher, tau=4.0), value)


BAD = {
    'AlphaBeta': [
        (dict(alpha=math.inf, beta=1.0), '^alpha must be finite'),
        (dict(alpha=1.0, beta=math.nan), '^beta must be finite'),
    ],
    'JensenShannon': [(dict(lam=x), '^lam must be > 0') for x in (0, 1, math.nan)],
    'SkewKL': [(dict(lam=x), '^lam must be >= 0') for x in (-0.1, 1, math.nan)],
    'AdaptiveKL': [(dict(mu=x), '^mu must') for x in (-0.1, 1.1, math.nan)],
    'EntropyBalancedKL': [(dict(weight=x), '^weight must') for x in (-1, math.inf)],
}


@pytest.mark.parametrize(
    ('kind', 'arguments', 'message'),
    [(kind, *case) for kind, cases in BAD.items() for case in cases],
)
def test_refuses_arguments_out_of_range(kind, arguments, message):
    for call in (getattr(losses, kind), partial(FUNCTIONS[kind], *pair(2, 4))):
        with pytest.raises(ValueError, match=message):
            call(**arguments)
        name = message[1:].split()[0]
        with pytest.raises(TypeError, match=f'^{name} must be a number'):
            call(**{**arguments, name: '0.5'})


@EVERY
def test_refuses_a_bad_temperature_and_shape(name):
    student, teacher = pair(2, 4)
    for tau in (0, math.nan):
        with pytest.raises(ValueError, match=r'^tau must'):
            function_of(name)(student, teacher, tau=tau)
    with pytest.raises(ValueError, match='student and teacher'):
        function_of(name)(student, teacher[:1])
