"""Random cases for the fast paths, and how near to the slow one they must be."""

import torch
from hypothesis import strategies as st

from mmkd.ops import Form, eager

sides = st.integers(1, 9)
lengths = st.integers(1, 40)
weights = st.sampled_from([(1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.3, 2.5)])
temperatures = st.floats(0.3, 5.0)


@st.composite
def forms(draw):
    """Any loss: equal and unequal temperatures, one half or both."""
    tau = draw(temperatures)
    forward_weight, reverse_weight = draw(weights)
    standardize = draw(st.booleans())
    return Form(
        tau=tau,
        ratio=draw(st.sampled_from([1.0, 0.7, 1.6])),
        tau_reverse=draw(st.sampled_from([tau, 1.3])),
        forward_weight=forward_weight,
        reverse_weight=reverse_weight,
        standardize=standardize,
        effective_tau=standardize and draw(st.booleans()),
    )


@st.composite
def cases(draw, scales=(0.1, 3.0, 30.0), classes=(3, 4, 19, 150)):
    """Logits of any two resolutions, of which some pixels count."""
    number, channels = draw(st.integers(1, 3)), draw(st.sampled_from(classes))
    shapes = [(draw(sides), draw(sides)) for _ in range(2)]
    size = draw(st.sampled_from([shapes[0], (draw(lengths), draw(lengths))]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    scale = draw(st.sampled_from(scales))
    student, teacher = (
        scale * torch.randn(number, channels, *shape, generator=generator).double()
        for shape in shapes
    )
    share = draw(st.sampled_from([None, 0.0, 0.3, 1.0]))
    counted = None
    if share is not None:
        counted = torch.rand(number, *size, generator=generator) >= share
        if draw(st.booleans()):  # what each pixel weighs
            counted = counted * torch.rand(number, *size, generator=generator).double()
            counted = counted * (counted > 0).sum() / counted.sum().clamp(min=1e-9)
    return student, teacher, counted, size, draw(st.booleans()), draw(forms())


def value_and_gradient(function, student, *args, factor=1.0):
    """The value, and the gradient of ``factor`` times it."""
    student = student.detach().requires_grad_()
    value = function(student, *args)
    (gradient,) = torch.autograd.grad(factor * value, student)
    return value.detach(), gradient


def distance(found, expected):
    """Relative distance of two tensors, by norm; 0 of zeros."""
    difference = (found.double() - expected.double()).norm()
    return float(difference / expected.double().norm().clamp(min=1e-300))


def errors(function, case, dtype):
    """How far value and gradient are from those of the slow path in float64."""
    *inputs, size, align_corners, form = case
    given = [in_precision(x, dtype) for x in inputs]
    exact = [in_precision(x, torch.float64) for x in given]
    exact, found = (
        value_and_gradient(f, *tensors, size, align_corners, form, factor=-1.7)
        for f, tensors in ((eager.mean_divergence, exact), (function, given))
    )
    assert found[0].dtype == found[1].dtype == dtype
    return [distance(*both) for both in zip(found, exact, strict=True)]


def in_precision(tensor, dtype):
    """Another precision, unless it is None or tells what counts."""
    return tensor if tensor is None or tensor.dtype == torch.bool else tensor.to(dtype)
