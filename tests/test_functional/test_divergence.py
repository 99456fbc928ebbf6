import pytest
import torch
from scipy.special import rel_entr
from scipy.special import softmax as scipy_softmax
from torch.autograd import gradcheck
from torch.testing import assert_close

from mmkd.functional import balanced_kl_divergence, kl_divergence, standardize
from tests.reference import computed_in, pair

REVERSE = pytest.mark.parametrize('reverse', [False, True])
# The toy case of the LSKD paper, figure 2: cat, dog, bird, frog.
TEACHER = torch.tensor([[1.0, 4.0, 3.0, 2.0]])
STUDENTS = torch.tensor([[1.0, 2.8, 3.0, 2.0], [0.1, 0.4, 0.3, 0.2]])


def scipy_kl(student, teacher, tau, dim, reverse):
    p = scipy_softmax(teacher.cpu().numpy() / tau, axis=dim)
    q = scipy_softmax(student.cpu().numpy() / tau, axis=dim)
    return tau**2 * (rel_entr(q, p) if reverse else rel_entr(p, q)).sum(dim)


@pytest.mark.parametrize(
    ('student', 'standardized', 'published'),
    [(0, False, 0.1749), (1, False, 0.3457), (0, True, 0.0995), (1, True, 0.0)],
)
def test_toy_case(student, standardized, published):
    student, teacher = STUDENTS[student, None], TEACHER
    if standardized:
        student, teacher = standardize(student), standardize(teacher)
    assert round(kl_divergence(student, teacher).item(), 4) == published


@REVERSE
@pytest.mark.parametrize('tau', [1.0, 4.0, 0.5])
@pytest.mark.parametrize(
    ('shape', 'dim'), [((4, 3), 1), ((2, 19, 3, 5), 1), ((3, 4, 6), -1), ((5, 2), 0)]
)
def test_equals_scipy(shape, dim, tau, reverse, device):
    student, teacher = pair(*shape, device=device)
    value = kl_divergence(student, teacher, tau, dim, reverse)
    expected = scipy_kl(student, teacher, tau, dim, reverse)
    assert_close(value.cpu().numpy(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize('weights', [(1, 0), (0, 1), (1, 1), (0.5, 7)])
@pytest.mark.parametrize('tau_reverse', [None, 1.5])
@pytest.mark.parametrize('dim', [1, -1])
def test_balanced_equals_scipy(weights, tau_reverse, dim, device):
    student, teacher = pair(2, 19, 3, device=device)
    value = balanced_kl_divergence(student, teacher, 4.0, tau_reverse, *weights, dim)
    expected = weights[0] * scipy_kl(
        student, teacher, 4.0, dim, reverse=False
    ) + weights[1] * scipy_kl(student, teacher, tau_reverse or 4.0, dim, reverse=True)
    assert_close(value.cpu().numpy(), expected, rtol=1e-10, atol=1e-12)


def test_defaults():
    student, teacher = pair(4, 5)
    forward = kl_divergence(student, teacher, tau=1.0, dim=1, reverse=False)
    assert_close(kl_divergence(student, teacher), forward)
    both = forward + kl_divergence(teacher, student)
    assert_close(balanced_kl_divergence(student, teacher), both)


@REVERSE
@pytest.mark.parametrize('tau', [1.0, 4.0])
def test_positive_and_zero_on_itself(tau, reverse, device):
    student, teacher = pair(2, 19, 8, 8, dtype=torch.float32, device=device)
    assert (kl_divergence(student, teacher, tau, reverse=reverse) > 0).all()
    assert (kl_divergence(student, student.clone(), tau, reverse=reverse) == 0).all()


@REVERSE
def test_class_gradients_sum_to_zero(reverse):
    student, teacher = pair(2, 19, 3, 3)
    student.requires_grad_()
    kl_divergence(student, teacher, 4.0, reverse=reverse).sum().backward()
    sums = student.grad.sum(1)
    assert_close(sums, torch.zeros_like(sums), rtol=0, atol=1e-12)
    assert student.grad.abs().max() > 0.1


@REVERSE
def test_gradient(reverse):
    student, teacher = pair(2, 4, 3)
    tau = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    assert gradcheck(
        lambda s, t, tau: kl_divergence(s, t, tau, reverse=reverse),
        (student.requires_grad_(), teacher.requires_grad_(), tau),
    )


def test_gradient_of_balanced():
    student, teacher = pair(2, 4)
    taus = torch.tensor([2.0, 1.5], dtype=torch.float64, requires_grad=True)
    assert gradcheck(
        lambda s, taus: balanced_kl_divergence(s, teacher, taus[0], taus[1], 0.5, 2.0),
        (student.requires_grad_(), taus),
    )


@REVERSE
@pytest.mark.parametrize('tau', [1.0, 4.0])
@pytest.mark.parametrize('classes', [3, 150])
def test_huge_logits(classes, tau, reverse, device):
    """All but one-hot, with peaks apart: tau^2 (2e4 / tau), and q - p forward."""
    student, teacher = torch.full((2, 1, classes), -1e4, device=device)
    student[:, 0] = teacher[:, 1] = 1e4
    student.requires_grad_()
    value = kl_divergence(student, teacher, tau, reverse=reverse)
    value.sum().backward()
    assert_close(value.tolist(), [2e4 * tau])
    expected = torch.zeros(1, classes, device=device)
    if not reverse:
        expected[:, 0], expected[:, 1] = tau, -tau
    assert_close(student.grad, expected)


@pytest.mark.parametrize('tau', [0, -1, float('nan'), float('inf')])
def test_refuses_a_bad_temperature(tau):
    student, teacher = pair(2, 4)
    with pytest.raises(ValueError, match=r'^tau must'):
        kl_divergence(student, teacher, tau)
    with pytest.raises(ValueError, match=r'^tau must'):
        balanced_kl_divergence(student, teacher, tau, 1.0, forward_weight=0)
    with pytest.raises(ValueError, match=r'^tau_reverse must'):
        balanced_kl_divergence(student, teacher, 1.0, tau, reverse_weight=0)


@pytest.mark.parametrize(
    'weights', [(-1, 1), (1, -1), (0, 0), (float('nan'), 1), (1, float('inf'))]
)
def test_refuses_bad_weights(weights):
    with pytest.raises(ValueError, match=r'(forward|reverse)_weight'):
        balanced_kl_divergence(*pair(2, 4), 1.0, None, *weights)


@pytest.mark.parametrize('shape', [(2, 5), (1, 4), (2, 4, 1)])
def test_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match='student and teacher'):
        kl_divergence(torch.zeros(2, 4), torch.zeros(shape))


def test_refuses_integers():
    with pytest.raises(TypeError, match='int64'):
        kl_divergence(torch.zeros(2, 4), torch.zeros(2, 4).long())


@REVERSE
def test_temperature_as_a_tensor(reverse):
    student, teacher = pair(2, 4)
    value = kl_divergence(student, teacher, torch.tensor(4.0), reverse=reverse)
    assert_close(value, kl_divergence(student, teacher, 4.0, reverse=reverse))


@REVERSE
def test_half_precision_is_computed_in_float32(device, dtype, reverse):
    precision = computed_in(dtype)
    student, teacher = pair(4, 19, dtype=dtype, device=device)
    value = kl_divergence(student, teacher, 4.0, reverse=reverse)
    assert value.dtype == precision
    args = student.to(precision), teacher.to(precision), 4.0
    expected = kl_divergence(*args, reverse=reverse)
    assert torch.equal(value, expected)


@REVERSE
def test_autocast_changes_nothing(device, dtype, reverse):
    student, teacher = pair(2, 19, 3, 3, dtype=dtype, device=device)

    def value():
        return kl_divergence(
            standardize(student), standardize(teacher), 4.0, reverse=reverse
        )

    with torch.autocast(device, torch.bfloat16):
        inside = value()
    assert inside.dtype == value().dtype
    assert torch.equal(inside, value())
