import pytest
import torch
from torch.testing import assert_close

from mmkd.losses import MLKDLoss
from tests import reference
from tests.reference import pair, value_and_gradient

STANDARDIZE = pytest.mark.parametrize('standardize', [False, True])


@pytest.mark.parametrize(('standardize', 'tau'), [(False, 4.0), (True, 2.0)])
def test_defaults_are_the_papers(standardize, tau):
    loss = MLKDLoss(standardize=standardize)
    assert (loss.tau, loss.taus) == (tau, (3.0, 5.0, 2.0, 6.0))
    args = pair(6, 10)
    expected = reference.mlkd(*args, tau=tau, standardized=standardize)
    assert_close(loss(*args), expected)


def test_only_the_instance_level_is_standardized():
    """A student of another scale then differs in the relations alone."""
    _, teacher = pair(6, 10)
    alone = MLKDLoss(standardize=True, beta=0.0, gamma=0.0)
    assert alone(2 * teacher, teacher) < 1e-12
    related = MLKDLoss(standardize=True)
    assert related(2 * teacher, teacher) > 1e-3


@pytest.mark.parametrize('size', [(8, 8), (24, 40)])
def test_samples_of_a_map_are_cells(size):
    """Relations depend only on the mean of each cell."""
    student, teacher = pair(2, 5, *size, dtype=torch.float32)
    height, width = (side // 8 for side in size)
    moved = student.view(2, 5, 8, height, 8, width).flip(3, 5).reshape(student.shape)
    alone, loss = MLKDLoss(beta=0.0, gamma=0.0), MLKDLoss()
    relations = [loss(x, teacher) - alone(x, teacher) for x in (student, moved)]
    assert_close(*relations)
    assert relations[0] > 0.1
    assert torch.equal(moved, student) == (size == (8, 8))


def test_images_without_a_valid_pixel_are_ignored():
    student, teacher = pair(2, 5, 4, 4)
    target = torch.ones(2, 4, 4).long()
    target[1] = 255
    expected = MLKDLoss()(student[:1], teacher[:1], target[:1])
    assert_close(MLKDLoss()(student, teacher, target), expected)


@STANDARDIZE
def test_two_views(standardize, device):
    """Half of the weak view's samples and classes are compared, all of the strong's."""
    student, teacher = pair(8, 6, device=device)
    (weak, strong), (t_weak, t_strong) = student.chunk(2), teacher.chunk(2)
    options = dict(tau=1.5, taus=(), standardize=standardize)
    confidence = t_weak.softmax(1)
    samples_kept = confidence.max(1).values.argsort()[:2]
    classes = confidence.sum(0).argsort()[:3]
    alone = MLKDLoss(beta=0.0, gamma=0.0, **options)(
        weak[samples_kept], t_weak[samples_kept]
    )
    q, p = ((x / 1.5).softmax(1) for x in (weak, t_weak))
    samples = ((q @ q.T - p @ p.T)[samples_kept][:, samples_kept] ** 2).sum() / 2
    between = ((q.T @ q - p.T @ p)[classes][:, classes] ** 2).sum() / 3
    expected = alone + samples + between + MLKDLoss(**options)(strong, t_strong)
    target = torch.arange(4, device=device).repeat(2)
    result = MLKDLoss(views=2, **options)(student, teacher, target)
    assert_close(result, expected)
    assert result != MLKDLoss(**options)(student, teacher, target)


@pytest.mark.parametrize(
    ('shape', 'target'),
    [
        ((4, 5), [0, 1, 0, 2]),  # other images in the second half
        ((3, 5), [0, 1, 0]),
        ((3, 5), None),
        ((2, 5, 1, 1), [[[1]], [[1]]]),
    ],
)
def test_refuses_what_is_not_two_views(shape, target):
    target = None if target is None else torch.tensor(target)
    with pytest.raises(ValueError, match=r'^views=2 needs vectors'):
        MLKDLoss(views=2)(*pair(*shape), target)


@STANDARDIZE
@pytest.mark.parametrize('views', [1, 2])
@pytest.mark.parametrize('scale', [1e2, 1e4])
def test_peaked_logits(standardize, views, scale, device):
    logits = pair(4, 5, dtype=torch.float32, device=device)
    student, teacher = (scale * x.sign() for x in logits)
    loss = MLKDLoss(standardize=standardize, views=views)
    value, gradient = value_and_gradient(loss, student, teacher)
    assert value.isfinite()
    assert gradient.isfinite().all()


def test_matrices_stay_small():
    """Memory is bounded by at most 64 samples per image."""
    student, teacher = pair(2, 5, 200, 200, dtype=torch.float32)
    value, gradient = value_and_gradient(MLKDLoss(), student, teacher)
    assert value.isfinite()
    assert gradient.isfinite().all()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(taus=(3.0, 0.0)), '^taus must'),
        (dict(beta=-1.0), '^beta must'),
        (dict(gamma=float('inf')), '^gamma must'),
        (dict(views=3), '^views must'),
    ],
)
def test_refuses_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        MLKDLoss(**options)
