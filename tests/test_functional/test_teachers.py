"""The average of several teachers against probabilities in float64."""

import pytest
import torch
from torch.autograd import gradcheck
from torch.testing import assert_close

from mmkd.functional import average_teachers

# Teacher 1 splits class 1 and has no class 3; teacher 2 has no class 0 and 1.
GROUPS = [[(3,), (0, 2), (1,), (), ()], [(), (), (0,), (2,), ()]]
SHAPES = pytest.mark.parametrize('shape', [(6,), (2, 3, 4)], ids=['vectors', 'maps'])


def outputs(shape, *channels, scale=3.0, **options):
    generator = torch.Generator().manual_seed(0)
    size = shape[0], *shape[1:]
    return [
        scale
        * torch.randn(
            size[0], c, *size[1:], generator=generator, dtype=torch.float64
        ).to(**options)
        for c in channels
    ]


@SHAPES
def test_each_class_has_the_mean_of_its_teachers(shape, device):
    first, second = outputs(shape, 5, 3, device=device)
    p, q = first.softmax(1), second.softmax(1)  # outputs 4 and 1 belong to no class
    m = [p[:, 3], p[:, 0] + p[:, 2], (p[:, 1] + q[:, 0]) / 2, q[:, 2]]
    expected = torch.stack(m, 1)
    expected = expected / expected.sum(1, keepdim=True)
    found = average_teachers([first, second], GROUPS)
    assert_close(found.exp(), expected)


@SHAPES
def test_parts_of_one_distribution_give_it_back(shape):
    """Teachers that know their own classes and that it is another one."""
    (whole,) = outputs(shape, 6)
    p = whole.softmax(1)
    halves = [
        torch.cat([part, 1 - part.sum(1, keepdim=True)], 1).log()
        for part in (p[:, :3], p[:, 3:])
    ]
    groups = [
        [(0,), (1,), (2,), (), (), ()],
        [(), (), (), (0,), (1,), (2,)],
    ]
    assert_close(average_teachers(halves, groups).softmax(1), p)
    # Overlapping parts, too, as all say the same.
    groups.append([(index,) for index in range(6)])
    assert_close(average_teachers([*halves, whole], groups).softmax(1), p)


@SHAPES
def test_the_same_classes(shape):
    teachers = outputs(shape, 4, 4, 4)
    p = torch.stack([each.softmax(1) for each in teachers]).mean(0)
    assert_close(average_teachers(teachers).exp(), p)
    mean = torch.stack(teachers).mean(0)
    assert_close(average_teachers(teachers, mean='logits'), mean)
    m = torch.stack([each.sigmoid() for each in teachers]).mean(0)
    assert_close(average_teachers(teachers, sigmoid=True), m.logit())
    assert_close(average_teachers(teachers[:1]), teachers[0].log_softmax(1))


@SHAPES
def test_sigmoids_of_different_classes(shape):
    first, second = outputs(shape, 2, 2)
    groups = [[(0,), (1,), ()], [(), (1,), (0,)]]
    found = average_teachers([first, second], groups, sigmoid=True)
    both = (first[:, 1].sigmoid() + second[:, 1].sigmoid()) / 2
    assert_close(found[:, 0], first[:, 0])
    assert_close(found[:, 1], both.logit())
    assert_close(found[:, 2], second[:, 0])


@pytest.mark.parametrize('mean', ['probabilities', 'logits', 'sigmoid'])
def test_large_and_half_precision_logits(mean, dtype):
    options = dict(sigmoid=True) if mean == 'sigmoid' else dict(mean=mean)
    scale = 1e4 if dtype == torch.float16 else 1e34
    teachers = outputs((3, 2, 2), 4, 4, scale=scale, dtype=dtype)
    found = average_teachers(teachers, **options)
    assert found.isfinite().all()
    assert found.dtype == torch.promote_types(dtype, torch.float32)
    teachers[1][0, :, 0, 0] = torch.nan  # an ignored pixel
    found = average_teachers(teachers, **options)
    assert found[0, :, 0, 0].isnan().all()
    found[0, :, 0, 0] = 0
    assert found.isfinite().all()


@pytest.mark.parametrize('sigmoid', [False, True])
def test_gradient(sigmoid):
    teachers = [x.requires_grad_() for x in outputs((2, 2, 2), 5, 3)]
    assert gradcheck(
        lambda *some: average_teachers(some, GROUPS, sigmoid=sigmoid), teachers
    )


@pytest.mark.parametrize(
    ('channels', 'options', 'says'),
    [
        ((4, 5), {}, r'do not match: \(2, 4\), \(2, 5\)'),
        ((5, 3), dict(groups=GROUPS, mean='logits'), 'needs teachers with the same'),
        ((4, 4), dict(mean='median'), "'probabilities' or 'logits', not 'median'"),
    ],
)
def test_errors(channels, options, says):
    with pytest.raises(ValueError, match=says):
        average_teachers(outputs((2,), *channels), **options)
