import pytest
import torch
from torch.nn.functional import softmax
from torch.testing import assert_close

from mmkd.losses import DKDLoss, KDLoss
from tests import reference
from tests.reference import pair, value_and_gradient

STANDARDIZE = pytest.mark.parametrize('standardize', [False, True])
DIVERGENCES = pytest.mark.parametrize(
    'divergence',
    [
        dict(forward_weight=a, reverse_weight=b, tau_reverse=tau_reverse)
        for a, b in [(1.0, 0.0), (0.0, 1.0), (0.5, 2.0)]
        for tau_reverse in (None, 1.5)
    ],
    ids=lambda options: '-'.join(map(str, options.values())),
)
OPTIONS = dict(alpha=0.5, beta=3.0, tau=2.0, tau_teacher=3.0, loss_weight=0.7)


def test_small_integers_are_labels():
    student, teacher = pair(2, 5, 2, 3)
    target = torch.randint(0, 5, (2, 2, 3))
    assert DKDLoss()(student, teacher, target.byte()) == DKDLoss()(
        student, teacher, target
    )


def assert_equals_reference(standardize, divergence, args):
    config = dict(type='BalancedKL', **divergence)
    loss = DKDLoss(standardize=standardize, divergence=config, **OPTIONS)
    options = dict(standardized=standardize, **OPTIONS, **divergence)
    expected = value_and_gradient(reference.dkd, *args, **options)
    result = value_and_gradient(loss, *args)
    assert_close(result, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize('classes', [3, 19, 150])
@STANDARDIZE
@DIVERGENCES
def test_maps_equal_the_reference(classes, standardize, divergence, device):
    target = torch.randint(0, classes, (2, 2, 3), device=device)
    target[0, 0] = target[1, 1, 2] = 255
    args = *pair(2, classes, 2, 3, device=device), target
    assert_equals_reference(standardize, divergence, args)


@pytest.mark.parametrize('classes', [3, 100])
@STANDARDIZE
@DIVERGENCES
def test_vectors_equal_the_reference(classes, standardize, divergence, device):
    args = *pair(4, classes, device=device), torch.tensor([0, 2, 2, 1]).to(device)
    assert_equals_reference(standardize, divergence, args)


def test_weights_that_make_it_kd():
    """KD is alpha 1 and beta 1 - p_c of the teacher (the paper's equation 5)."""
    student, teacher = pair(1, 7)
    target = torch.tensor([3])
    beta = 1 - softmax(teacher / 4, 1)[0, 3].item()
    loss = DKDLoss(alpha=1.0, beta=beta, tau=4.0)
    expected = KDLoss(tau=4.0)(student, teacher)
    assert_close(loss(student, teacher, target), expected)


@STANDARDIZE
@pytest.mark.parametrize('scale', [1e2, 1e4])
@pytest.mark.parametrize('kind', ['ForwardKL', 'ReverseKL', 'BalancedKL'])
def test_peaked_logits(standardize, scale, kind, device):
    logits = pair(2, 5, 4, 6, dtype=torch.float32, device=device)
    student, teacher = (scale * x.sign() for x in logits)
    target = torch.arange(48, device=device).view(2, 4, 6) % 5
    loss = DKDLoss(standardize=standardize, divergence=kind)
    value, gradient = value_and_gradient(loss, student, teacher, target)
    assert value.isfinite()
    assert value >= 0
    assert gradient.isfinite().all()


@STANDARDIZE
def test_constant_logits(standardize):
    student, teacher = torch.full((2, 5), 3.0), torch.zeros(2, 5)
    loss = DKDLoss(standardize=standardize)
    value, gradient = value_and_gradient(loss, student, teacher, torch.tensor([0, 4]))
    assert_close(value, torch.tensor(0.0), rtol=0, atol=1e-5)
    assert_close(gradient, torch.zeros(2, 5), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ('target', 'message'),
    [(None, 'no target'), (torch.full((2, 5), 0.2), 'soft labels')],
)
def test_needs_hard_targets(target, message):
    with pytest.raises(ValueError, match=f'DKDLoss needs .* but got {message}'):
        DKDLoss()(*pair(2, 5), target)


@pytest.mark.parametrize('label', [5, -1, 255])
@pytest.mark.parametrize('shape', [(2, 5), (2, 5, 3, 4)])
def test_refuses_a_label_that_is_no_class(label, shape):
    """One equal to the number of classes, too; of a map unless it is ignored."""
    target = torch.full((shape[0], *shape[2:]), 4)
    loss = DKDLoss(ignore_index=7)
    loss(*pair(*shape), target)
    target.view(-1)[1] = label
    with pytest.raises(ValueError, match=f'^label {label} is not a .* 0 to 4; set'):
        loss(*pair(*shape), target)
    if len(shape) == 4:
        assert DKDLoss(ignore_index=label)(*pair(*shape), target) > 0


@pytest.mark.parametrize('name', ['alpha', 'beta'])
@pytest.mark.parametrize('value', [-1.0, float('nan'), float('inf')])
def test_refuses_bad_weights(name, value):
    with pytest.raises(ValueError, match=f'^{name} must be >= 0'):
        DKDLoss(**{name: value})
