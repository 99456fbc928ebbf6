import pytest
import torch
from torch.testing import assert_close

from mmkd.functional import correct_teacher
from tests.reference import computed_in, pair, softmax

MODES = pytest.mark.parametrize('mode', ['mix', 'swap'])


def corrected_one(logits, label, mode, threshold, tau):
    """Probabilities at tau of one position, by the published formulas."""
    p = softmax(logits / tau).tolist()
    best = max(p[:label] + p[label + 1 :])
    if mode == 'swap':
        if p[label] < best:
            other = p.index(best)
            p[label], p[other] = p[other], p[label]
    elif p[label] - best < threshold:
        m = (best - p[label] + threshold) / (1 + best - p[label])
        p = [(1 - m) * x + m * (c == label) for c, x in enumerate(p)]
    return torch.tensor(p, dtype=torch.float64)


def batch(shape, device='cpu'):
    """Logits and labels, of which every fourth is unknown."""
    teacher = pair(*shape, device=device)[1]
    target = torch.arange(teacher[:, 0].numel(), device=device) % shape[1]
    target[::4] = -1
    return teacher, target.view_as(teacher[:, 0])


@MODES
@pytest.mark.parametrize('threshold', [0, 0.2, 0.9])
@pytest.mark.parametrize('tau', [1.0, 4.0])
@pytest.mark.parametrize('shape', [(16, 5), (6, 2), (2, 19, 4, 5)])
def test_equals_the_formula(mode, threshold, tau, shape, device):
    teacher, target = batch(shape, device)
    found, where = correct_teacher(teacher, target, mode, threshold, tau)
    before, after = (x.movedim(1, -1).flatten(0, -2).cpu() for x in (teacher, found))
    labels = target.flatten().tolist()
    for old, new, label, is_corrected in zip(
        before, after, labels, where.flatten().tolist(), strict=True
    ):
        p = softmax(new / tau)
        if label < 0:
            assert torch.equal(old, new)
            assert not is_corrected
            continue
        expected = corrected_one(old, label, mode, threshold, tau)
        assert_close(p, expected)
        assert is_corrected == (not torch.allclose(expected, softmax(old / tau)))
        others = torch.arange(len(old)) != label
        if mode == 'mix':
            assert torch.equal(old[others], new[others])
            if is_corrected:
                assert_close(
                    p[label] - p[others].max(), torch.tensor(threshold).double()
                )
        else:
            assert_close(old.sort().values, new.sort().values)
    assert where.any()


def test_continuous_at_the_threshold():
    """A teacher whose label just leads by the threshold is hardly changed."""
    for lead in (0.2 - 1e-9, 0.2 + 1e-9):
        p = torch.tensor([[0.5, 0.5 - lead, lead]], dtype=torch.float64)
        found, _ = correct_teacher(p.log(), torch.tensor([0]))
        assert_close(found.softmax(1), p, rtol=0, atol=1e-8)


@MODES
def test_the_order_at_any_temperature(mode):
    teacher = 3 * pair(200, 7)[1]
    target = torch.arange(200) % 7
    found, _ = correct_teacher(teacher, target, mode)
    assert torch.equal(found.argmax(1), target)


@MODES
@pytest.mark.parametrize('bad', [torch.nan, torch.inf, -torch.inf, 1e38])
def test_invalid_positions(mode, bad, device):
    teacher, target = batch((2, 5, 3, 4), device)
    mask = torch.arange(24, device=device).view(2, 3, 4) % 3 > 0
    expected, where = correct_teacher(teacher, target, mode, mask=mask)
    assert not where[~mask].any()
    teacher[(~mask)[:, None].expand_as(teacher)] = bad
    target[~mask] = 255
    found, again = correct_teacher(teacher, target, mode, mask=mask)
    valid = mask[:, None].expand_as(found)
    assert torch.equal(found[valid], expected[valid])
    assert torch.equal(where, again)


@MODES
@pytest.mark.parametrize('scale', [0.0, 1e-4, 1e4, 1e18, 1e36])
@pytest.mark.parametrize('classes', [2, 5, 150])
def test_extreme_logits(mode, scale, classes, device):
    teacher = scale * pair(64, classes, dtype=torch.float32, device=device)[1].sign()
    target = torch.arange(64, device=device) % classes
    found, where = correct_teacher(teacher, target, mode)
    assert found.isfinite().all()
    assert found.dtype == torch.float32
    p = found.softmax(1)
    assert (p.gather(1, target[:, None]) == p.amax(1, keepdim=True)).all()
    assert where.any() or (mode == 'swap' and not scale)


@MODES
def test_precisions(mode, dtype, device):
    teacher, target = batch((2, 5, 3, 4), device)
    teacher = teacher.to(dtype)
    found, _ = correct_teacher(teacher, target, mode)
    assert found.dtype == computed_in(dtype)
    expected, _ = correct_teacher(teacher.double(), target, mode)
    assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


def test_a_tie_is_no_error_of_the_teacher():
    teacher, target = torch.tensor([[2.0, 2.0, 0.0]]), torch.tensor([1])
    for options in (dict(mode='swap'), dict(threshold=0)):
        found, where = correct_teacher(teacher, target, **options)
        assert torch.equal(found, teacher)
        assert not where.any()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(mode='max'), "^mode must be 'mix' or 'swap', not 'max'$"),
        (dict(threshold=1), '^threshold must be >= 0 and < 1, but is 1$'),
        (dict(threshold=-0.1), '^threshold must be >= 0 and < 1'),
        (dict(threshold=float('nan')), '^threshold must be >= 0 and < 1'),
        (dict(tau=0), '^tau must'),
        (dict(target=torch.tensor([3])), '^label 3 is not a class'),
        (dict(teacher=torch.zeros(1, 1)), 'at least two classes'),
    ],
)
def test_errors(options, message):
    known = dict(teacher=torch.zeros(1, 3), target=torch.tensor([0]))
    with pytest.raises(ValueError, match=message):
        correct_teacher(**known | options)
