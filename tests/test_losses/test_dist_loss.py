import pytest
import torch
from scipy.stats import pearsonr
from torch.autograd import gradcheck
from torch.testing import assert_close

from mmkd.losses import DISTLoss
from tests import reference
from tests.reference import pair, value_and_gradient

STANDARDIZE = pytest.mark.parametrize('standardize', [False, True])
OPTIONS = dict(beta=2.0, gamma=0.5, tau=4.0, tau_teacher=3.0, loss_weight=0.7)


def assert_equals_reference(standardize, args):
    loss = DISTLoss(standardize=standardize, **OPTIONS)
    options = dict(standardized=standardize, **OPTIONS)
    expected = value_and_gradient(reference.dist, *args, **options)
    assert_close(value_and_gradient(loss, *args), expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize('classes', [3, 19, 150])
@STANDARDIZE
@pytest.mark.parametrize('with_target', [True, False])
def test_maps_equal_the_reference(classes, standardize, with_target, device):
    target = torch.randint(0, classes, (2, 2, 3), device=device)
    target[0, 0] = target[1, 1, 2] = 255
    args = *pair(2, classes, 2, 3, device=device), target if with_target else None
    assert_equals_reference(standardize, args)


@pytest.mark.parametrize('eps', [0.0, 1e-8, 0.3])
@pytest.mark.parametrize('shape', [(4, 7), (2, 7, 2, 3)])
def test_eps_equals_the_reference(eps, shape, device):
    args = pair(*shape, device=device)
    expected = value_and_gradient(reference.dist, *args, eps=eps)
    assert_close(value_and_gradient(DISTLoss(eps=eps), *args), expected)
    assert gradcheck(DISTLoss(eps=eps), (args[0].requires_grad_(), args[1]))


def released(student, teacher):
    """The loss of maps, step by step as in the authors' code."""
    classes = student.shape[1]
    rows = [
        x.transpose(1, 3).reshape(-1, classes).softmax(1) for x in (student, teacher)
    ]
    total = 0
    for a, b in (rows, [x.T for x in rows]):
        a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
        norms = a.norm(dim=1) * b.norm(dim=1)
        total = total + 1 - ((a * b).sum(1) / (norms + 1e-8)).mean()
    return total


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_classes_absent_from_a_batch(dtype, device):
    """140 of 150 classes at logits of -20: off by default, as in the authors' code."""
    student, teacher = pair(2, 150, 16, 16, dtype=dtype, device=device)
    for logits in (student, teacher):
        logits[:, 10:] = logits[:, 10:] / 3 - 20
    found = value_and_gradient(DISTLoss(), student, teacher)
    assert_close(found, value_and_gradient(released, student, teacher))
    absent = found[1][:, 10:].abs().sum()
    assert 0 < absent < 1e-6
    unpublished = value_and_gradient(DISTLoss(eps=0), student, teacher)[1]
    assert unpublished[:, 10:].abs().sum() > 0.1
    assert found[1][:, :10].abs().sum() > 0.1


@pytest.mark.parametrize('classes', [3, 100])
@STANDARDIZE
def test_vectors_equal_the_reference(classes, standardize, device):
    assert_equals_reference(standardize, pair(4, classes, device=device))


def test_equals_scipy():
    student, teacher = pair(6, 10)
    p, q = teacher.softmax(1), student.softmax(1)
    between = [pearsonr(p[i], q[i]).statistic for i in range(6)]
    within = [pearsonr(p[:, c], q[:, c]).statistic for c in range(10)]
    expected = 1 - sum(between) / 6 + 3 * (1 - sum(within) / 10)
    assert_close(DISTLoss(gamma=3.0, eps=0)(student, teacher).item(), expected)


def test_independent_of_affine_changes():
    """The same ranking and spacing is enough: any q = a p + b gives 0."""
    p = pair(4, 5)[1].softmax(1)
    student = (0.5 * p + 0.1).log()
    value = DISTLoss(gamma=0.0, eps=0)(student, p.log())
    assert_close(value, torch.zeros_like(value), rtol=0, atol=1e-12)


@STANDARDIZE
@pytest.mark.parametrize('scale', [1e2, 1e4])
def test_peaked_logits(standardize, scale, device):
    logits = pair(2, 5, 4, 6, dtype=torch.float32, device=device)
    student, teacher = (scale * x.sign() for x in logits)
    loss = DISTLoss(standardize=standardize)
    value, gradient = value_and_gradient(loss, student, teacher)
    assert value.isfinite()
    assert gradient.isfinite().all()


@pytest.mark.parametrize('shape', [(1, 5), (1, 5, 1, 1), (3, 5)])
@STANDARDIZE
def test_without_a_relation(shape, standardize):
    """One sample, or constant ones, correlate with nothing: 1, without a gradient."""
    student = torch.ones(shape)
    loss = DISTLoss(standardize=standardize, beta=1.0, gamma=2.0)
    value, gradient = value_and_gradient(loss, student, pair(*shape)[1].float())
    assert value == 3
    assert (gradient == 0).all()


def test_takes_no_divergence():
    with pytest.raises(
        TypeError, match=r'^DISTLoss compares correlations: remove divergence$'
    ):
        DISTLoss(divergence='ReverseKL')


@pytest.mark.parametrize('name', ['beta', 'gamma', 'eps'])
@pytest.mark.parametrize('value', [-1.0, float('nan'), float('inf')])
def test_refuses_bad_weights(name, value):
    with pytest.raises(ValueError, match=f'^{name} must be >= 0'):
        DISTLoss(**{name: value})
