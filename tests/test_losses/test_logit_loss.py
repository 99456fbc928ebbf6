"""Properties of every loss on logits, on maps."""

import math
import re

import pytest
import torch
from mmengine.registry import DefaultScope
from torch.autograd import gradcheck
from torch.nn.functional import interpolate
from torch.testing import assert_close

from mmkd.losses import (
    CTKDLoss,
    CWDLoss,
    DISTLoss,
    DKDLoss,
    ForwardKL,
    KDLoss,
    LogitLoss,
    MLKDLoss,
    ReverseKL,
)
from mmkd.registry import MODELS
from tests.reference import pair, value_and_gradient

HOLD_KL = [KDLoss, CWDLoss, DKDLoss, MLKDLoss]
LOSSES = pytest.mark.parametrize('kind', [*HOLD_KL, DISTLoss])
LOSSES_WITH_KL = pytest.mark.parametrize('kind', HOLD_KL)
STANDARDIZE = pytest.mark.parametrize('standardize', [False, True])
# All options different from their defaults.
OPTIONS = dict(
    tau=2.0,
    tau_teacher=3.0,
    divergence=dict(type='BalancedKL', reverse_weight=2.0, tau_reverse=1.5),
    loss_weight=0.5,
)


DEFAULTS = dict(
    tau=1.0,
    tau_teacher=None,
    standardize=False,
    loss_weight=1.0,
    ignore_index=255,
    resolution='tap',
    align_corners=False,
    activation=None,
)


@pytest.mark.parametrize(
    ('kind', 'own'),
    [
        (KDLoss, dict(scale_compensated=False, class_balanced=False, impl='auto')),
        (
            CTKDLoss,
            dict(t_start=1.0, t_end=20.0, warmup=10, by_epoch=True, theta=1.0),
        ),
        (CWDLoss, {}),
        (DKDLoss, dict(alpha=1.0, beta=8.0, tau=4.0)),
        (
            MLKDLoss,
            dict(tau=4.0, taus=(3.0, 5.0, 2.0, 6.0), beta=1.0, gamma=1.0, views=1),
        ),
        (DISTLoss, dict(beta=1.0, gamma=1.0, eps=1e-8)),
    ],
)
def test_defaults(kind, own):
    loss = kind()
    assert isinstance(loss.divergence, ForwardKL)
    for name, value in (DEFAULTS | own).items():
        assert getattr(loss, name) == value, name


def build(kind, **options):
    """A loss with these options, but for a divergence where it takes none."""
    if kind not in HOLD_KL:
        options.pop('divergence', None)
    return kind(**options)


def every(*shape, device='cpu'):
    """A label at each pixel."""
    return (torch.arange(math.prod(shape), device=device) % 5).view(shape)


def labels(*shape, device='cpu'):
    """A third of the pixels ignored."""
    target = torch.arange(math.prod(shape), device=device) % 5
    target[::3] = 255
    return target.view(shape)


class Seen(LogitLoss):
    """Keeps what a loss is given to compare."""

    def compare(self, student, teacher, target, mask):
        self.student, self.teacher = student, teacher
        self.target, self.seen_mask = target, mask
        return student.sum()


@LOSSES
@STANDARDIZE
def test_ignored_pixels(kind, standardize, device):
    """Ignored pixels get no gradient and do not affect the value."""
    loss = build(kind, standardize=standardize, **OPTIONS)
    student, teacher = pair(2, 5, 4, 6, device=device)
    target = labels(2, 4, 6, device=device)
    value, gradient = value_and_gradient(loss, student, teacher, target)
    ignored = (target == 255)[:, None].expand_as(student)
    assert (gradient[ignored] == 0).all()
    assert (gradient[~ignored] != 0).all()
    student[ignored], teacher[ignored] = 1e4, -1e4
    student[:, 0][ignored[:, 0]] = 77.0
    assert_close(loss(student, teacher, target), value, rtol=1e-12, atol=0)
    assert loss(student, teacher, every(2, 4, 6, device=device)) != value


@LOSSES
def test_ignore_index(kind):
    student, teacher = pair(2, 5, 4, 6)
    target = labels(2, 4, 6)
    expected = kind()(student, teacher, target)
    target = torch.where(target == 255, 11, target)
    assert kind(ignore_index=11)(student, teacher, target) == expected
    if kind is not DKDLoss:  # to which 11 is now a class, out of range
        alone = kind()(student, teacher)
        assert kind()(student, teacher, target) == alone != expected


@LOSSES
@STANDARDIZE
def test_all_pixels_ignored(kind, standardize, device):
    student, teacher = pair(2, 5, 4, 6, dtype=torch.float32, device=device)
    student[0] *= 1e4
    target = torch.full((2, 4, 6), 255, device=device)
    loss = build(kind, standardize=standardize, **OPTIONS)
    value, gradient = value_and_gradient(loss, student, teacher, target)
    assert value == 0
    assert (gradient == 0).all()


@LOSSES
@STANDARDIZE
def test_teacher_gets_no_gradient(kind, standardize):
    student, teacher = pair(2, 5, 4, 6)
    student.requires_grad_(), teacher.requires_grad_()
    kind(standardize=standardize)(student, teacher, every(2, 4, 6)).backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


@LOSSES_WITH_KL
@STANDARDIZE
def test_zero_on_itself(kind, standardize, device):
    student, teacher = pair(2, 5, 4, 6, dtype=torch.float32, device=device)
    loss = kind(tau=4.0, standardize=standardize, divergence='BalancedKL')
    assert loss(student, student.clone(), labels(2, 4, 6, device=device)) == 0
    assert loss(student, teacher, every(2, 4, 6, device=device)) > 0


@LOSSES
@STANDARDIZE
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision(kind, standardize, dtype, device):
    student, teacher = pair(2, 5, 4, 6, dtype=dtype, device=device)
    args = teacher, labels(2, 4, 6, device=device)
    loss = build(kind, standardize=standardize, **OPTIONS)
    value, gradient = value_and_gradient(loss, student, *args)
    expected = value_and_gradient(loss, student.float(), teacher.float(), args[1])
    assert value.dtype == torch.float32
    assert gradient.dtype == dtype
    assert_close((value, gradient.float()), expected, rtol=1e-2, atol=1e-6)
    assert value == expected[0]


@LOSSES
@STANDARDIZE
@pytest.mark.parametrize('resolution', ['tap', 'label'])
def test_autocast_changes_nothing(kind, standardize, resolution, device):
    loss = build(kind, standardize=standardize, resolution=resolution, **OPTIONS)
    student, teacher = pair(2, 5, 4, 6, dtype=torch.bfloat16, device=device)
    args = student, teacher, labels(2, 8, 12, device=device)
    with torch.autocast(device, torch.bfloat16):
        inside = loss(*args)
    assert inside.dtype == torch.float32
    assert inside == loss(*args)


@LOSSES
@STANDARDIZE
def test_not_contiguous(kind, standardize):
    loss = build(kind, standardize=standardize, **OPTIONS)
    student, teacher = (x.permute(0, 3, 2, 1) for x in pair(2, 6, 4, 5))
    target = labels(2, 6, 4).transpose(1, 2)
    assert not student.is_contiguous()
    result = value_and_gradient(loss, student, teacher, target)
    args = (x.contiguous() for x in (student, teacher, target))
    assert_close(result, value_and_gradient(loss, *args), rtol=1e-12, atol=1e-14)


@LOSSES
@STANDARDIZE
def test_gradient(kind, standardize):
    loss = build(kind, standardize=standardize, **OPTIONS)
    student, teacher = pair(2, 5, 2, 3)
    target = labels(2, 2, 3)
    assert gradcheck(lambda s: loss(s, teacher, target), student.requires_grad_())
    grads = [
        torch.autograd.grad(factor * loss(student, teacher, target), student)
        for factor in (1, -3)
    ]
    assert_close(grads[1][0], -3 * grads[0][0])


@LOSSES_WITH_KL
def test_divergence_as_class_instance_config_or_name(kind):
    args = *pair(2, 5, 4, 6), every(2, 4, 6)
    one, *others = (
        kind(divergence=divergence)(*args)
        for divergence in (dict(type='ReverseKL'), ReverseKL, ReverseKL(), 'ReverseKL')
    )
    assert others == [one] * 3
    assert one != kind()(*args) == kind(divergence='ForwardKL')(*args)


@LOSSES_WITH_KL
def test_refuses_a_bad_divergence(kind):
    with pytest.raises(ValueError, match='tau_reverse must'):
        kind(divergence=dict(type='BalancedKL', tau_reverse=0))


def test_unknown_divergence_gets_a_suggestion():
    with pytest.raises(KeyError, match='did you mean ForwardKL'):
        KDLoss(divergence=dict(type='FowardKL'))


@LOSSES
@pytest.mark.parametrize('scope', [None, 'mmkd', 'mmseg', 'mmpretrain'])
def test_built_by_the_registry_in_any_scope(kind, scope):
    divergence = dict(type='BalancedKL', reverse_weight=2.0)
    config = dict(type=f'mmkd.{kind.__name__}', tau=4.0)
    if kind in HOLD_KL:
        config['divergence'] = divergence
    with DefaultScope.overwrite_default_scope(scope):
        loss = MODELS.build(config)
    assert type(loss) is kind
    assert loss.tau == 4.0
    assert kind not in HOLD_KL or loss.divergence.reverse_weight == 2.0


@LOSSES
@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(tau=0), '^tau must'),
        (dict(tau=-1.0), '^tau must'),
        (dict(tau=float('nan')), '^tau must'),
        (dict(tau=9e-4), '^tau must be at least 0.001 and at most 1000'),
        (dict(tau=1001), '^tau must be at least 0.001 and at most 1000'),
        (dict(tau_teacher=1e30), '^tau_teacher must'),
        (dict(tau_teacher=1e-30), '^tau_teacher must'),
        (dict(tau_teacher=0), '^tau_teacher must'),
        (dict(tau_teacher=float('inf')), '^tau_teacher must'),
        (dict(loss_weight=-1), '^loss_weight must'),
        (dict(loss_weight=float('nan')), '^loss_weight must'),
        (dict(resolution='foo'), "^resolution must.*'foo'"),
    ],
)
def test_refuses_bad_arguments(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind(**options)


@LOSSES
@pytest.mark.parametrize('name', ['tau', 'tau_teacher', 'loss_weight'])
@pytest.mark.parametrize('value', ['2', [1.0]])
def test_refuses_what_is_no_number(kind, name, value):
    message = rf'^{name} must be a number, but is {re.escape(repr(value))}$'
    with pytest.raises(TypeError, match=message):
        kind(**{name: value})


@LOSSES
@pytest.mark.parametrize(
    ('student', 'teacher', 'target', 'message'),
    [
        ((2, 5, 4, 4), (2, 6, 4, 4), None, 'student.*teacher.*classes'),
        ((2, 5, 4, 4), (1, 5, 4, 4), None, 'student.*teacher.*batch'),
        ((2, 5, 4, 4), (2, 5), None, 'student.*teacher'),
        ((2, 5, 4, 4), (2, 5, 4, 4), (2, 1, 4, 4), 'target'),
        ((2, 5, 4, 4), (2, 5, 4, 4), (2,), 'target'),
        ((2, 5, 4, 4), (2, 5, 4, 4), (1, 4, 4), 'target'),
        ((2, 5, 4), (2, 5, 4), None, r'student.s are \(2, 5, 4\)'),
        ((0, 5, 4, 4), (0, 5, 4, 4), (0, 4, 4), "student's logits is empty"),
        ((2, 5, 0, 4), (2, 5, 4, 4), (2, 4, 4), "student's logits is empty"),
        ((2, 5, 4, 4), (2, 5, 4, 0), (2, 4, 4), "teacher's logits is empty"),
        ((2, 5, 4, 4), (2, 5, 4, 4), (2, 0, 4), 'target is empty'),
        ((0, 5), (0, 5), (0,), "student's logits is empty"),
    ],
)
def test_refuses_bad_inputs(kind, student, teacher, target, message):
    target = None if target is None else torch.zeros(target).long()
    with pytest.raises(ValueError, match=message):
        kind()(torch.zeros(student), torch.zeros(teacher), target)


def test_refuses_integers():
    with pytest.raises(TypeError, match='int64'):
        KDLoss()(torch.zeros(2, 5).long(), torch.zeros(2, 5))


@LOSSES
@STANDARDIZE
@pytest.mark.parametrize('align_corners', [False, True])
def test_at_the_labels_resolution(kind, standardize, align_corners, device):
    student, _ = pair(2, 5, 3, 4, device=device)
    _, teacher = pair(2, 5, 6, 5, device=device)
    target = labels(2, 12, 16, device=device)
    loss = build(
        kind,
        standardize=standardize,
        resolution='label',
        align_corners=align_corners,
        **OPTIONS,
    )
    by_hand = build(kind, standardize=standardize, **OPTIONS)

    def up(x):
        return interpolate(x, (12, 16), mode='bilinear', align_corners=align_corners)

    assert_close(
        value_and_gradient(loss, student, teacher, target),
        value_and_gradient(lambda s: by_hand(up(s), up(teacher), target), student),
    )


@LOSSES
def test_the_labels_resolution_needs_a_target(kind):
    message = (
        r"^resolution='label' needs a target, but got None; pass the labels, or set "
        r"resolution='tap'$"
    )
    with pytest.raises(ValueError, match=message):
        kind(resolution='label')(*pair(2, 5, 4, 4))


@pytest.mark.parametrize('align_corners', [False, True])
def test_at_the_taps_resolution(align_corners):
    """The teacher's map is resized bilinearly, the label with nearest."""
    (student, _), (_, teacher) = pair(2, 5, 3, 4), pair(2, 5, 6, 5)
    target = labels(2, 24, 32)
    loss = Seen(align_corners=align_corners)
    loss(student, teacher, target)
    assert torch.equal(loss.student, student)
    expected = interpolate(
        teacher, (3, 4), mode='bilinear', align_corners=align_corners
    )
    valid = loss.seen_mask[:, None].expand_as(expected)
    assert torch.equal(loss.teacher[valid], expected[valid])
    assert (loss.target == target[:, ::8, ::8]).all()
    assert torch.equal(loss.seen_mask, target[:, ::8, ::8] != 255)


@pytest.mark.parametrize('resolution', ['tap', 'label'])
def test_nothing_is_resized_without_need(resolution):
    (student, teacher), target = pair(2, 5, 3, 4), labels(2, 3, 4)
    loss = Seen(resolution=resolution)
    loss(student, teacher, target)
    assert torch.equal(loss.student, student)
    assert torch.equal(loss.teacher, teacher)
    assert loss.target is target


def test_vectors_have_no_pixels_to_ignore():
    loss, target = Seen(resolution='label'), torch.tensor([255, 3])
    loss(*pair(2, 5), target)
    assert loss.seen_mask is None
    assert loss.target is target
