import pytest
import torch
from torch.nn.functional import kl_div, log_softmax
from torch.nn.functional import softmax as torch_softmax
from torch.testing import assert_close

from mmkd.losses import CWDLoss
from tests import reference
from tests.reference import pair, value_and_gradient

STANDARDIZE = pytest.mark.parametrize('standardize', [False, True])
DIVERGENCES = pytest.mark.parametrize(
    'divergence',
    [
        dict(forward_weight=1.0, reverse_weight=0.0),
        dict(forward_weight=0.0, reverse_weight=1.0),
        dict(forward_weight=0.5, reverse_weight=2.0, tau_reverse=1.5),
    ],
    ids=['forward', 'reverse', 'balanced'],
)
# Ignored pixels: none, some, all of the first image, all but one of the second.
TARGETS = {
    'without': None,
    'none': torch.zeros(2, 3, 4),
    'some': torch.tensor([[0, 255, 0, 0], [255, 0, 0, 255], [1, 2, 3, 4]]).repeat(
        2, 1, 1
    ),
    'image': torch.tensor([255, 0])[:, None, None].repeat(1, 3, 4),
    'but_one': torch.cat([torch.zeros(12), torch.zeros(1), torch.full((11,), 255)]),
}
TARGETS['but_one'] = TARGETS['but_one'].view(2, 3, 4)


def moved(target, device):
    return None if target is None else target.to(device)


def build(divergence, **options):
    return CWDLoss(divergence=dict(type='BalancedKL', **divergence), **options)


@STANDARDIZE
@DIVERGENCES
@pytest.mark.parametrize('target', TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize(
    'options', [dict(), dict(tau=4.0), dict(tau=4.0, tau_teacher=2.0, loss_weight=3.0)]
)
@pytest.mark.parametrize('channels', [1, 3])
def test_equals_the_reference(
    standardize, divergence, target, options, channels, device
):
    args = *pair(2, channels, 3, 4, device=device), moved(target, device)
    loss = build(divergence, standardize=standardize, **options)
    expected = value_and_gradient(
        reference.cwd, *args, standardized=standardize, **options, **divergence
    )
    assert_close(value_and_gradient(loss, *args), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize('tau', [1.0, 4.0])
def test_equals_the_papers_formula(tau):
    student, teacher = pair(2, 19, 5, 6)
    logs = log_softmax(student.view(-1, 30) / tau, 1)
    p = torch_softmax(teacher.view(-1, 30) / tau, 1)
    expected = tau**2 * kl_div(logs, p, reduction='sum') / (19 * 2)
    assert_close(CWDLoss(tau=tau)(student, teacher), expected)


@STANDARDIZE
@DIVERGENCES
def test_one_pixel_has_nothing_to_compare(standardize, divergence):
    loss = build(divergence, standardize=standardize, tau=4.0)
    value, gradient = value_and_gradient(loss, *pair(2, 5, 1, 1))
    assert value == 0
    assert (gradient == 0).all()


def test_ignored_image_gets_no_gradient():
    student, teacher = pair(2, 5, 3, 4)
    _, gradient = value_and_gradient(CWDLoss(), student, teacher, TARGETS['image'])
    assert (gradient[0] == 0).all()
    assert (gradient[1] != 0).all()


@DIVERGENCES
@pytest.mark.parametrize('constant', [0.1, 1e4])
def test_standardized_constant_channel(divergence, constant, device):
    student, teacher = pair(2, 5, 3, 4, dtype=torch.float32, device=device)
    student[:, 2] = constant
    loss = build(divergence, standardize=True)
    args = student, teacher, moved(TARGETS['some'], device)
    value, gradient = value_and_gradient(loss, *args)
    assert value.isfinite()
    assert gradient.isfinite().all()
    assert (gradient[:, 2] == 0).all()
    assert gradient[:, 1].abs().sum() > 0


@STANDARDIZE
@DIVERGENCES
@pytest.mark.parametrize('target', ['without', 'some'])
def test_logits_of_100(standardize, divergence, target, device):
    logits = pair(2, 3, 3, 4, dtype=torch.float32, device=device)
    student, teacher = (33 * x for x in logits)
    target = moved(TARGETS[target], device)
    loss = build(divergence, standardize=standardize, tau=2.0)
    result = value_and_gradient(loss, student, teacher, target)
    expected = value_and_gradient(
        reference.cwd,
        student.double(),
        teacher.double(),
        target,
        tau=2.0,
        standardized=standardize,
        **divergence,
    )
    assert_close(result, expected, check_dtype=False, rtol=1e-4, atol=1e-5)


@DIVERGENCES
def test_logits_of_10000(divergence, device):
    """All but one position at -1e4, with peaks apart: the gap of the peaks."""
    student, teacher = torch.full((2, 2, 5, 3, 4), -1e4, device=device)
    student[..., 0, 0] = teacher[..., 2, 1] = 1e4
    args = student, teacher, moved(TARGETS['some'], device)
    value, gradient = value_and_gradient(build(divergence, tau=2.0), *args)
    taus = 2.0, divergence.get('tau_reverse', 2.0)
    weights = divergence['forward_weight'], divergence['reverse_weight']
    expected = sum(2e4 * tau * w for tau, w in zip(taus, weights, strict=True))
    assert_close(value.item(), expected, rtol=1e-6, atol=0)
    assert gradient.isfinite().all()


@pytest.mark.parametrize('shift', [1e6, -1e6])
def test_independent_of_a_shift(shift):
    """Ignored pixels stay out of the softmax however low the valid ones are."""
    student, teacher = pair(2, 3, 3, 4)
    args = teacher - shift, TARGETS['some']
    expected = CWDLoss(tau=4.0)(student, teacher, TARGETS['some'])
    assert_close(CWDLoss(tau=4.0)(student + shift, *args), expected)


def test_refuses_vectors():
    with pytest.raises(ValueError, match=r'maps.*\(2, 5\).*KDLoss'):
        CWDLoss()(*pair(2, 5))
