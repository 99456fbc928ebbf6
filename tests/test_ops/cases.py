"""Random cases for the fused loss, and its distance from the eager one."""

import torch
from hypothesis import strategies as st

from mmkd import losses
from mmkd.ops import DivergenceOptions, fused_kd_loss
from mmkd.ops.fused import eager_kd_loss
from tests.divergence_formulas import FORMULAS
from tests.reference import value_and_gradient

# Of Triton's kernels; without a GPU they run in its interpreter.
KERNEL_DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'

weights = st.sampled_from([(1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.3, 2.5)])
temperatures = st.floats(0.3, 5.0)


def family_options(name, **options):
    """Options of a divergence of the family."""
    kind, _, keywords = FORMULAS[name]
    function = getattr(losses, kind).function
    return DivergenceOptions(function=function, keywords=keywords, **options)


@st.composite
def divergence_options(draw, family=None):
    """Options of any loss: equal and unequal temperatures, one half or both."""
    tau = draw(temperatures)
    if family:
        standardize = draw(st.booleans())
        return family_options(
            draw(st.sampled_from(family)),
            tau=tau,
            tau_teacher=draw(st.sampled_from([None, 0.7 * tau, 1.6 * tau])),
            standardize=standardize,
            scale_compensated=standardize and draw(st.booleans()),
        )
    forward_weight, reverse_weight = draw(weights)
    standardize = draw(st.booleans())
    return DivergenceOptions(
        tau=tau,
        tau_teacher=draw(st.sampled_from([None, 0.7 * tau, 1.6 * tau])),
        standardize=standardize,
        scale_compensated=standardize and draw(st.booleans()),
        keywords=dict(
            tau_reverse=draw(st.sampled_from([None, tau, 1.3])),
            forward_weight=forward_weight,
            reverse_weight=reverse_weight,
        ),
    )


@st.composite
def cases(
    draw,
    scales=(0.1, 3.0, 30.0),
    classes=(3, 4, 19, 150),
    side=9,
    length=40,
    family=None,
):
    """Arguments of a loss: maps of any two resolutions, with mask and weight.

    With BalancedKL, or one of the named divergences of the family.
    """
    sides, lengths = st.integers(1, side), st.integers(1, length)
    number, channels = draw(st.integers(1, 3)), draw(st.sampled_from(classes))
    shapes = [(draw(sides), draw(sides)) for _ in range(2)]
    size = draw(st.sampled_from([shapes[0], (draw(lengths), draw(lengths))]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    scale = draw(st.sampled_from(scales))
    student, teacher = (
        scale * torch.randn(number, channels, *shape, generator=generator).double()
        for shape in shapes
    )
    mask = weight = None
    ignored = draw(st.sampled_from([None, 0.0, 0.3, 1.0]))
    if ignored is not None:
        mask = torch.rand(number, *size, generator=generator) >= ignored
    if draw(st.booleans()):
        weight = torch.rand(number, *size, generator=generator).double()
    options = draw(divergence_options(family))
    return student, teacher, size, options, draw(st.booleans()), mask, weight


def distance(found, expected, floor=1e-9):
    """Distance of two tensors by norm, relative to the norm or, below it, ``floor``."""
    difference = (found.double() - expected.double()).norm()
    return float(difference / expected.double().norm().clamp(min=floor))


def errors(function, case, dtype, device='cpu'):
    """Distances of value and gradient from those of the eager loss in float64."""
    rounded = [moved(x, device, dtype) for x in case]
    exact = [moved(x, device, torch.float64) for x in rounded]
    found = value_and_gradient(function, *rounded, factor=-1.7)
    expected = value_and_gradient(eager_kd_loss, *exact, factor=-1.7)
    assert found[0].dtype == found[1].dtype == dtype
    # Two confident networks that agree: a tiny difference of large terms.
    floor = 0.1 if dtype == torch.float64 else 1e-9
    return [distance(*both, floor) for both in zip(found, expected, strict=True)]


def moved(argument, device, dtype):
    """A tensor on another device, in a precision if floating-point."""
    if not isinstance(argument, torch.Tensor):
        return argument
    return argument.to(device, dtype if argument.is_floating_point() else None)


class KernelLoss(torch.nn.Module):
    """KDLoss with BalancedKL at the labels' resolution, by Triton's kernel."""

    def __init__(self, align_corners, standardize, scale_compensated):
        super().__init__()
        self.align_corners = align_corners
        self.options = DivergenceOptions(
            standardize=standardize,
            scale_compensated=scale_compensated,
            keywords=dict(reverse_weight=1.0),
        )

    def forward(self, student, teacher, target):
        from mmkd.ops.triton_kernel import mean_and_gradient

        return fused_kd_loss(
            student, teacher, target.shape[1:], self.options, self.align_corners,
            target != 255, kernel=mean_and_gradient,
        )  # fmt: skip
