import pytest
import torch
from torch.nn.functional import interpolate
from torch.testing import assert_close

from mmkd.functional import class_balance, kd_loss
from mmkd.losses import KDLoss
from tests import reference
from tests.reference import pair, value_and_gradient

CLASSES = pytest.mark.parametrize('classes', [3, 19, 150])
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


TENSOR = 'eager (the temperature is a tensor)'


def build(divergence, **options):
    return KDLoss(divergence=dict(type='BalancedKL', **divergence), **options)


def assert_equals_reference(loss, divergence, options, args, **tolerance):
    options = dict(options)
    standardized = options.pop('standardize', False)
    expected = value_and_gradient(
        reference.kd,
        *(x if x is None or not x.is_floating_point() else x.double() for x in args),
        standardized=standardized,
        **options,
        **divergence,
    )
    result = value_and_gradient(loss, *args)
    tolerance = tolerance or dict(rtol=1e-10, atol=1e-10)
    assert_close(result, expected, check_dtype=False, **tolerance)


@CLASSES
@STANDARDIZE
@DIVERGENCES
@pytest.mark.parametrize('with_target', [True, False])
def test_maps_equal_the_reference(
    classes, standardize, divergence, with_target, device
):
    options = dict(tau=4.0, standardize=standardize)
    target = torch.randint(0, classes, (2, 2, 3), device=device)
    target[0, 0] = target[1, 1, 2] = 255
    args = *pair(2, classes, 2, 3, device=device), target if with_target else None
    assert_equals_reference(build(divergence, **options), divergence, options, args)


@CLASSES
@STANDARDIZE
@DIVERGENCES
def test_vectors_equal_the_reference(classes, standardize, divergence, device):
    """Label 255 of a vector is a class like any other."""
    options = dict(tau=4.0, standardize=standardize)
    args = *pair(4, classes, device=device), torch.tensor([0, 255, 255, 2]).to(device)
    assert_equals_reference(build(divergence, **options), divergence, options, args)


@STANDARDIZE
@DIVERGENCES
@pytest.mark.parametrize('tau_teacher', [0.5, 6.0])
def test_temperature_of_the_teacher(standardize, divergence, tau_teacher, device):
    options = dict(tau=2.0, tau_teacher=tau_teacher, standardize=standardize)
    args = pair(3, 19, device=device)
    assert_equals_reference(build(divergence, **options), divergence, options, args)


@pytest.mark.parametrize('shape', [(3, 19), (2, 5, 3, 4)])
def test_scale_compensated(shape, device):
    """The factor is the variance of the student's logits, seen as a constant."""
    student, teacher = pair(*shape, device=device)
    options = dict(tau=0.5, standardize=True, scale_compensated=True)
    value, gradient = value_and_gradient(KDLoss(**options), student, teacher)
    rows = [x.movedim(1, -1).flatten(0, -2) for x in (student, teacher)]
    rows[0].requires_grad_()
    expected = sum(
        s.detach().var() * reference.divergence(s, t, tau=0.5, standardized=True)
        for s, t in zip(*rows, strict=True)
    ) / len(rows[0])
    (wanted,) = torch.autograd.grad(expected, rows[0])
    assert_close(value, expected.detach())
    assert_close(gradient.movedim(1, -1).flatten(0, -2), wanted)


@pytest.mark.parametrize('impl', ['fused', 'eager'])
def test_scale_compensation_equalizes_the_gradient(impl):
    """Nearly equal logits of an untrained head give no larger gradient."""
    student, teacher = pair(2, 5, 3, 4)
    options = dict(standardize=True, impl=impl)
    sizes = {
        compensated: [
            value_and_gradient(
                KDLoss(scale_compensated=compensated, **options), c * student, teacher
            )[1].norm()
            for c in (0.01, 1.0)
        ]
        for compensated in (False, True)
    }
    assert_close(sizes[False][0], 100 * sizes[False][1], rtol=1e-3, atol=0)
    assert_close(sizes[True][0], 0.01 * sizes[True][1], rtol=1e-3, atol=0)


def test_scale_compensation_needs_standardization():
    with pytest.raises(
        ValueError, match='scale_compensated=True needs standardize=True'
    ):
        KDLoss(scale_compensated=True)


def test_class_balanced_vectors(device):
    student, teacher = pair(6, 5, device=device)
    p = (teacher - teacher.logsumexp(1, keepdim=True)).exp()
    weights = (p / p.sum(0)).sum(1)
    rows = zip(student, teacher, strict=True)
    values = torch.stack([reference.divergence(s, t) for s, t in rows])
    expected = (weights * values).sum() / 5
    assert_close(KDLoss(class_balanced=True)(student, teacher), expected)


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('impl', ['fused', 'eager'])
def test_class_balanced_at_the_teachers_resolution(impl, align_corners, device):
    """Weights are computed there, of pixels that are used, then resized to mean 1."""
    (student, _), (_, teacher) = (
        pair(1, 5, *size, device=device) for size in ((2, 2), (4, 4))
    )
    target = torch.zeros(1, 8, 8, device=device).long()
    target[0, :3, 2:7] = target[0, 4, 4] = 255
    mask = target[:, ::4, ::4] != 255

    def resize(x):
        return interpolate(x, (2, 2), mode='bilinear', align_corners=align_corners)

    weight = class_balance(teacher, used_in(resize, teacher, mask))[:, None]
    weight, small = (resize(x) for x in (weight, teacher))
    weight = weight[:, 0]
    weight = weight / weight[mask].mean()
    expected = kd_loss(student, small, mask=mask, weight=weight)
    loss = KDLoss(class_balanced=True, impl=impl, align_corners=align_corners)
    assert_close(loss(student, teacher, target), expected)


def used_in(resize, maps, mask):
    """Pixels of maps that some valid pixel of the resized maps depends on."""
    maps = maps[:, :1].detach().requires_grad_()
    return torch.autograd.grad(resize(maps)[:, 0][mask].sum(), maps)[0][:, 0] != 0


def test_class_balanced_weights_of_valid_pixels_are_positive():
    """Also where the nearest label of each of the teacher's pixels is ignored."""
    student, teacher = pair(1, 3, 2, 2)
    target = torch.full((1, 8, 8), 255)
    target[:, 1:4, 1:4], target[:, 5:, 5:] = 0, 1
    assert (target[:, ::4, ::4] == 255).all()
    mask, size = target != 255, target.shape[1:]
    loss = KDLoss(class_balanced=True, resolution='label')
    weight = loss.class_weight(teacher, size, mask)
    assert (weight[mask] > 0).all()
    assert_close(weight[mask].mean(), weight.new_ones(()))
    assert loss(student, teacher, target) > 0


@pytest.mark.parametrize('resolution', ['tap', 'label'])
def test_ignored_pixels_do_not_affect_the_balance(resolution):
    """Ignored pixels affect neither value nor gradient."""
    student, teacher = pair(2, 5, 3, 4)
    target = torch.zeros(2, 3, 4).long()
    target[0, :2] = 255
    loss = KDLoss(class_balanced=True, resolution=resolution)
    found = value_and_gradient(loss, student, teacher, target)
    teacher[0, :, :2] *= -7
    assert_close(value_and_gradient(loss, student, teacher, target), found)
    assert (found[1][0, :, :2] == 0).all()
    target[:] = 255
    value, gradient = value_and_gradient(loss, student, teacher, target)
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize(
    ('options', 'shape', 'chosen'),
    [
        (dict(), (2, 5, 3, 4), 'fused'),
        (dict(impl='eager'), (2, 5, 3, 4), "eager (impl='eager')"),
        (dict(), (2, 5), 'eager (the logits are vectors)'),
        (dict(tau=torch.tensor(2.0)), (2, 5, 3, 4), TENSOR),
        (dict(tau_teacher=torch.tensor(2.0)), (2, 5, 3, 4), TENSOR),
    ],
)
def test_logs_the_implementation_once(monkeypatch, options, shape, chosen):
    logged = []
    monkeypatch.setattr(
        'mmkd.losses.kd_loss.print_log',
        lambda text, logger: logged.append((text, logger)),
    )
    loss = KDLoss(**options)
    for _ in range(2):
        loss(*pair(*shape))
    assert logged == [(f'KDLoss uses the {chosen} implementation', 'current')]


class Seen(KDLoss):
    """Keeps the target that it is given to compare."""

    def compare(self, student, teacher, target, mask, weight=None):
        self.target = target
        return student.sum()


def test_a_loss_of_ones_own_sees_the_target():
    loss, target = Seen(), torch.ones(2, 6, 8).long()
    with pytest.raises(ValueError, match='Seen may override a step'):
        Seen(impl='fused')(*pair(2, 5, 3, 4), target)
    loss(*pair(2, 5, 3, 4), target)
    assert torch.equal(loss.target, target[:, ::2, ::2])


def test_loss_weight():
    args = pair(3, 19)
    value, gradient = value_and_gradient(KDLoss(), *args)
    weighted = value_and_gradient(KDLoss(loss_weight=0.3), *args)
    assert_close(weighted, (0.3 * value, 0.3 * gradient))
    assert KDLoss(loss_weight=0)(*args) == 0


@pytest.mark.parametrize(
    ('student', 'standardize', 'published'),
    [
        ([1.0, 2.8, 3.0, 2.0], False, 0.1749),
        ([0.1, 0.4, 0.3, 0.2], False, 0.3457),
        ([1.0, 2.8, 3.0, 2.0], True, 0.0995),
        ([0.1, 0.4, 0.3, 0.2], True, 0.0),
    ],
)
def test_toy_case(student, standardize, published):
    """Figure 2 of the LSKD paper, with the defaults."""
    loss = KDLoss(standardize=standardize)
    value = loss(torch.tensor([student]), torch.tensor([[1.0, 4.0, 3.0, 2.0]]))
    assert value.shape == ()
    assert round(value.item(), 4) == published


@STANDARDIZE
def test_mean_over_pixels_does_not_grow_with_the_crop(standardize):
    student, teacher = pair(1, 5, 2, 3)
    loss = KDLoss(standardize=standardize)
    big = loss(student.repeat(2, 1, 3, 4), teacher.repeat(2, 1, 3, 4))
    assert_close(big, loss(student, teacher))


@STANDARDIZE
@DIVERGENCES
def test_one_pixel(standardize, divergence):
    options = dict(tau=4.0, standardize=standardize)
    loss = build(divergence, **options)
    student, teacher = pair(2, 19, 1, 1)
    target = torch.zeros(2, 1, 1).long()
    assert_equals_reference(loss, divergence, options, (student, teacher, target))
    assert_close(loss(student, teacher), loss(student[..., 0, 0], teacher[..., 0, 0]))


@STANDARDIZE
@DIVERGENCES
@pytest.mark.parametrize('classes', [3, 150])
def test_logits_of_100(classes, standardize, divergence, device):
    logits = pair(8, classes, dtype=torch.float32, device=device)
    student, teacher = (torch.where(x > 0, 100.0, -100.0) for x in logits)
    student[:, 0] = teacher[:, 1] = 90.0  # and no vector constant
    args = student, teacher
    options = dict(tau=4.0, standardize=standardize)
    loss = build(divergence, **options)
    tolerance = dict(rtol=1e-4, atol=1e-5)
    assert_equals_reference(loss, divergence, options, args, **tolerance)


@DIVERGENCES
@pytest.mark.parametrize('classes', [3, 150])
def test_logits_of_10000(classes, divergence, device):
    """Standardized as the reference says; plain, finite and the gap of the peaks."""
    student, teacher = torch.full((2, 1, classes, 2, 2), -1e4, device=device)
    student[:, 0] = teacher[:, 1] = 1e4
    options = dict(tau=2.0, standardize=True)
    args, tolerance = (student, teacher), dict(rtol=1e-4, atol=1e-5)
    loss = build(divergence, **options)
    assert_equals_reference(loss, divergence, options, args, **tolerance)

    value, gradient = value_and_gradient(build(divergence, tau=2.0), *args)
    taus = 2.0, divergence['tau_reverse'] or 2.0
    weights = divergence['forward_weight'], divergence['reverse_weight']
    expected = sum(2e4 * tau * w for tau, w in zip(taus, weights, strict=True))
    assert_close(value.item(), expected, rtol=1e-6, atol=0)
    assert gradient.isfinite().all()


@DIVERGENCES
@pytest.mark.parametrize('constant', [0.1, 1e4])
@pytest.mark.parametrize('of', ['student', 'teacher', 'both'])
def test_constant_pixel(divergence, constant, of, device):
    """Constant logits give a uniform distribution and a zero gradient."""
    student, teacher = pair(1, 19, 2, 2, dtype=torch.float32, device=device)
    if of != 'teacher':
        student[0, :, 0, 0] = constant
    if of != 'student':
        teacher[0, :, 0, 0] = constant
    loss = build(divergence, standardize=True)
    value, gradient = value_and_gradient(loss, student, teacher)
    expected = reference.kd(
        student.double(), teacher.double(), standardized=True, **divergence
    )
    assert_close(value.item(), expected.item(), rtol=1e-4, atol=0)
    assert gradient.isfinite().all()
    assert (gradient[0, :, 0, 0] == 0).all() == (of != 'teacher')
    assert (gradient[0, :, 1] != 0).all()


@pytest.mark.parametrize('scale', [0.2, 5.0])
def test_standardized_is_independent_of_the_scale_of_the_student(scale):
    student, teacher = pair(2, 19, 3, 3)
    loss = KDLoss(tau=2.0, standardize=True, divergence='BalancedKL')
    expected = loss(student, teacher)
    assert_close(loss(scale * student + 7, teacher), expected, rtol=1e-5, atol=0)


def test_refuses_to_standardize_two_classes():
    with pytest.raises(ValueError, match='standardize=False'):
        KDLoss(standardize=True)(*pair(2, 2, 4, 4))
    assert KDLoss()(*pair(2, 2, 4, 4)) > 0


@pytest.mark.parametrize('target', [(3,), (2, 1)])
def test_refuses_a_target_that_does_not_match_vectors(target):
    with pytest.raises(ValueError, match='target'):
        KDLoss()(*pair(2, 5), torch.zeros(target).long())
