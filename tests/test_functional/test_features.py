"""Losses between features, as functions."""

from functools import partial

import pytest
import torch
from torch.testing import assert_close

from mmkd.functional import (
    attention_transfer_loss,
    feature_cosine_loss,
    feature_mse_loss,
    ifvd_loss,
    similarity_loss,
)
from mmkd.functional.relations import cosine, unit_vectors
from tests.reference import computed_in, value_and_gradient

from . import feature_formulas as formulas

SHAPE = (2, 5, 4, 6)
SIMILARITY = dict(side=2)
SOFTMAX = dict(side=2, temperature=0.5)
# Function, formula, and whether the networks' channels may differ.
LOSSES = {
    'mse': (feature_mse_loss, formulas.mse, False),
    'correlation': (
        partial(feature_mse_loss, normalize=True),
        formulas.correlation,
        False,
    ),
    'cosine': (feature_cosine_loss, formulas.cosine_distance, False),
    'attention': (attention_transfer_loss, formulas.attention_transfer, True),
    'similarity': (
        partial(similarity_loss, **SIMILARITY),
        partial(formulas.similarity, **SIMILARITY),
        True,
    ),
    'softmax similarity': (
        partial(similarity_loss, **SOFTMAX),
        partial(formulas.similarity, **SOFTMAX),
        True,
    ),
    'ifvd': (ifvd_loss, formulas.ifvd, True),
}
EVERY_LOSS = pytest.mark.parametrize('name', LOSSES)


def batch(name, device='cpu', dtype=torch.float64):
    """Features of both, and the keyword arguments of the loss."""
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(SHAPE, generator=generator, dtype=torch.float64)
    channels = 3 if LOSSES[name][2] else SHAPE[1]
    teacher = 2 * torch.randn(
        SHAPE[0], channels, *SHAPE[2:], generator=generator, dtype=torch.float64
    )
    target = torch.randint(0, 3, (2, 4, 6), generator=generator)
    mask = torch.ones(2, 4, 6, dtype=torch.bool)
    mask.view(-1)[::5] = False
    mask[0, :2, :3] = False  # a cell of the similarity's grid without a valid pixel
    options = dict(mask=mask.to(device))
    if name == 'ifvd':
        options['target'] = target.to(device)
    return student.to(device, dtype), teacher.to(device, dtype), options


def function_of(name, options):
    extra = dict(num_classes=3) if name == 'ifvd' else {}
    return partial(LOSSES[name][0], **options, **extra)


@EVERY_LOSS
def test_equals_the_formula(name, device):
    # 4x6 pixels in 2x2 cells would be 2x3 pixels each; the formula has square ones.
    student, teacher, options = batch(name, device)
    student, teacher = student[..., :4], teacher[..., :4]
    options = {key: value[..., :4] for key, value in options.items()}
    expected = value_and_gradient(LOSSES[name][1], student, teacher, **options)
    found = value_and_gradient(function_of(name, options), student, teacher)
    assert_close(found, expected, rtol=1e-9, atol=1e-12)


@EVERY_LOSS
def test_gradcheck(name):
    student, teacher, options = batch(name)
    function = function_of(name, options)
    leaf = student.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: function(s, teacher), leaf)


@EVERY_LOSS
def test_without_a_mask_all_positions_are_valid(name, device):
    student, teacher, options = batch(name, device)
    everywhere = dict(options, mask=torch.ones_like(options['mask']))
    nothing = dict(options, mask=None)
    found = [
        value_and_gradient(function_of(name, chosen), student, teacher)
        for chosen in (everywhere, nothing)
    ]
    assert_close(*found)


@EVERY_LOSS
def test_the_teacher_itself_has_no_loss(name, device):
    student, _, options = batch(name, device)
    value, gradient = value_and_gradient(
        function_of(name, options), student, student.clone()
    )
    assert_close(value, torch.zeros_like(value), atol=1e-12, rtol=0)
    assert_close(gradient, torch.zeros_like(gradient), atol=1e-9, rtol=0)


@EVERY_LOSS
@pytest.mark.parametrize('bad', [torch.nan, torch.inf])
def test_invalid_positions_do_not_matter(name, bad, device):
    student, teacher, options = batch(name, device)
    function = function_of(name, options)
    expected = value_and_gradient(function, student, teacher)
    invalid = ~options['mask'][:, None]
    student, teacher = (x.masked_fill(invalid, bad) for x in (student, teacher))
    if name == 'ifvd':
        options['target'][~options['mask']] = 255
    assert_close(value_and_gradient(function, student, teacher), expected)


@EVERY_LOSS
def test_no_valid_position(name, device):
    student, teacher, options = batch(name, device)
    options['mask'] = torch.zeros_like(options['mask'])
    value, gradient = value_and_gradient(function_of(name, options), student, teacher)
    assert value == 0
    assert (gradient == 0).all()


@EVERY_LOSS
@pytest.mark.parametrize('kind', ['zero', 'constant', 'large', 'small', 'dead channel'])
def test_extremes(name, kind, device):
    student, teacher, options = batch(name, device, torch.float32)
    student = {
        'zero': student * 0,
        'constant': student * 0 + 3,
        'large': student * 1e8,
        'small': student * 1e-8,
        'dead channel': student.clone().index_fill_(
            1, torch.tensor([1], device=device), 0
        ),
    }[kind]
    value, gradient = value_and_gradient(function_of(name, options), student, teacher)
    assert value.isfinite()
    assert gradient.isfinite().all()
    if kind == 'zero' and name != 'mse':
        assert gradient.abs().max() == 0


@EVERY_LOSS
def test_every_precision(name, dtype, device):
    student, teacher, options = batch(name, device, dtype)
    function = function_of(name, options)
    precision = computed_in(dtype)
    expected = function(student.to(precision), teacher.to(precision))
    assert expected.dtype == precision
    assert function(student, teacher) == expected


@pytest.mark.parametrize('name', ['mse', 'correlation', 'cosine'])
def test_vectors(name, device):
    """A vector is a map of one pixel."""
    student, teacher, _ = batch(name, device)
    student, teacher = student[..., 0, 0], teacher[..., 0, 0]
    function = LOSSES[name][0]
    maps = (x[..., None, None] for x in (student, teacher))
    assert_close(function(student, teacher), function(*maps))


@pytest.mark.parametrize('name', ['attention', 'similarity', 'ifvd'])
def test_vectors_have_no_positions(name):
    student, teacher, options = batch(name)
    vectors = (x[..., 0, 0] for x in (student, teacher))
    with pytest.raises(ValueError, match=r'compares maps \(N, C, H, W\)'):
        function_of(name, options)(*vectors)


@pytest.mark.parametrize('name', ['attention', 'similarity', 'ifvd'])
def test_maps_of_another_size(name):
    student, teacher, options = batch(name)
    with pytest.raises(ValueError, match='must agree in batch size'):
        function_of(name, options)(student, teacher[..., 1:])


@pytest.mark.parametrize('name', ['mse', 'cosine'])
def test_other_channels(name):
    student, teacher, options = batch(name)
    with pytest.raises(ValueError, match='same shape'):
        function_of(name, options)(student, teacher[:, 1:])


def test_the_scale_of_a_normalized_feature_does_not_matter():
    student, teacher, _ = batch('correlation')
    scaled = feature_mse_loss(7 * student + 3, teacher, normalize=True)
    assert_close(scaled, feature_mse_loss(student, teacher, normalize=True))


def test_labels_beyond_the_classes():
    student, teacher, options = batch('ifvd')
    with pytest.raises(ValueError, match='label 2 is not a class'):
        ifvd_loss(student, teacher, **options, num_classes=2)


def test_similarities_need_less_memory_than_logits():
    """The similarities of a crop of 512x512 at stride 8, beside 19 maps of logits."""
    sizes = []

    class Record(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                sizes.append((tuple(result.shape), result.numel()))
            return result

    student, teacher = torch.randn(2, 1, 8, 64, 64)
    with Record():
        similarity_loss(student, teacher)
    similarities = [numel for shape, numel in sizes if shape == (1, 256, 256)]
    assert similarities
    assert max(similarities) < 19 * 64 * 64


def test_cosine_of_zero_has_no_gradient():
    a = torch.zeros(1, 3, requires_grad=True)
    value = cosine(a, torch.ones(1, 3))
    (gradient,) = torch.autograd.grad(value.sum(), a)
    assert value == 0
    assert (gradient == 0).all()


def test_unit_vectors_of_zero_have_no_gradient():
    a = torch.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(unit_vectors(a)[:, 0].sum(), a)
    assert (gradient[0] == 0).all()
    assert gradient[1].abs().max() > 0
