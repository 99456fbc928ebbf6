"""Whatever the logits of ignored pixels are, value and gradient are the same."""

import itertools

import pytest
import torch
from torch.testing import assert_close

from mmkd.losses import CWDLoss, DeepSupervisionLoss, FeatureMSELoss, KDLoss
from tests.reference import computed_in, value_and_gradient
from tests.test_ops.cases import KERNEL_DEVICE, KernelLoss

from .test_every_cell import FEWER_CELLS, build

CLASSES = 5
# Size of the student's map, of the teacher's, of the label, and align_corners.
SIZES = {
    'equal': ((4, 6), (4, 6), (4, 6), False),
    'upsampled': ((4, 6), (5, 3), (16, 24), False),
    'upsampled, odd': ((4, 6), (4, 6), (12, 18), False),
    'upsampled, aligned': ((4, 6), (7, 11), (16, 26), True),
}
BAD = [torch.nan, torch.inf, -torch.inf, 1e38]
KD_OPTIONS = [
    dict(standardize=standardize, class_balanced=balanced, divergence='BalancedKL')
    | dict(scale_compensated=standardize and balanced)
    for standardize, balanced in itertools.product([False, True], repeat=2)
]


def batch(sizes, dtype, device):
    """Logits of both, and a label of which the upper left quarter is ignored."""
    generator = torch.Generator().manual_seed(0)
    ours, theirs, size, _ = SIZES[sizes]
    student, teacher = (
        (3 * torch.randn(2, CLASSES, *shape, generator=generator)).to(device, dtype)
        for shape in (ours, theirs)
    )
    target = torch.randint(CLASSES, (2, *size), generator=generator)
    target[:, : size[0] // 2, : size[1] // 2] = 255
    target[1, -1] = 255
    return student, teacher, target.to(device)


def assert_same(one, other):
    """Bit for bit on the CPU; on a GPU the order of a sum is not fixed."""
    exact = dict(rtol=0, atol=0) if one.device.type == 'cpu' else {}
    assert_close(one, other, **exact)


def check(loss, sizes, device, dtype=torch.float32, bad_values=BAD):
    """Compare with the same maps with bad values at an ignored pixel of each."""
    student, teacher, target = batch(sizes, dtype, device)
    expected = value_and_gradient(loss, student, teacher, target)
    assert expected[0].isfinite()
    assert expected[1].isfinite().all()
    for bad in bad_values:
        student[:, 1:, 0, 0] = teacher[:, 1:, 0, 0] = bad
        found = value_and_gradient(loss, student, teacher, target)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
        assert (found[1][..., 0, 0] == 0).all()


MAPS = [cell for cell in FEWER_CELLS if cell.values[-1] == 'maps']


@pytest.mark.parametrize('sizes', SIZES)
@pytest.mark.parametrize('resolution', ['tap', 'label'])
@pytest.mark.parametrize(('name', 'standardize', 'divergence', 'where'), MAPS)
def test_every_loss(name, standardize, divergence, where, resolution, sizes, device):
    loss = build(name, standardize, divergence)[0].to(device, torch.float32)
    loss.resolution, loss.align_corners = resolution, SIZES[sizes][-1]
    check(loss, sizes, device)


@pytest.mark.parametrize('sizes', ['equal', 'upsampled'])
@pytest.mark.parametrize(('name', 'standardize', 'divergence', 'where'), MAPS)
def test_every_precision(name, standardize, divergence, where, sizes, device, dtype):
    precision = computed_in(dtype)
    loss = build(name, standardize, divergence)[0].to(device, precision)
    check(loss, sizes, device, dtype)


@pytest.mark.parametrize('sizes', SIZES)
@pytest.mark.parametrize('resolution', ['tap', 'label'])
@pytest.mark.parametrize('options', KD_OPTIONS)
@pytest.mark.parametrize('impl', ['eager', 'fused'])
def test_every_implementation(impl, options, resolution, sizes, device):
    corners = SIZES[sizes][-1]
    loss = KDLoss(impl=impl, resolution=resolution, align_corners=corners, **options)
    check(loss, sizes, device)


@pytest.mark.parametrize('where', ['all', 'edge'])
@pytest.mark.parametrize('adapter', ['conv', 'conv_bn', 'mlp'])
@pytest.mark.parametrize('kind', [FeatureMSELoss, CWDLoss, DeepSupervisionLoss])
def test_every_adapter(kind, adapter, where, device):
    """The gradient of the adapter is the same, too."""
    student, teacher, target = batch('upsampled', torch.float32, device)
    loss = kind(adapter=adapter, where=where)
    loss.build_adapter(student, teacher)
    loss.to(device)
    found = []
    for bad in [0.0, *BAD]:
        student[:, :, 0, 0] = bad
        leaf = student.clone().requires_grad_()
        value = loss(leaf, teacher, target)
        found.append(torch.autograd.grad(value, [leaf, *loss.parameters()]))
    for gradients in found[1:]:
        for one, other in zip(gradients, found[0], strict=True):
            assert_same(one, other)
    assert (found[0][0][..., 0, 0] == 0).all()
    assert any(gradient.any() for gradient in found[0])


@pytest.mark.parametrize('sizes', ['equal', 'upsampled, aligned'])
@pytest.mark.parametrize('standardize', [False, True])
def test_the_kernel(standardize, sizes):
    pytest.importorskip('triton', reason='CPU builds of PyTorch have none')
    loss = KernelLoss(SIZES[sizes][-1], standardize, scale_compensated=standardize)
    check(loss, sizes, KERNEL_DEVICE, bad_values=[torch.nan])


@pytest.mark.parametrize('impl', ['eager', 'fused'])
@pytest.mark.parametrize('of', [0, 1])
def test_nan_with_a_part_in_a_valid_pixel_shows(impl, of, device):
    """Bilinear neighbors at the corner of the ignored quarter are valid."""
    loss = KDLoss(impl=impl, resolution='label')
    *logits, target = batch('upsampled, odd', torch.float32, device)
    logits[of][:, :, 1, 2] = torch.nan
    assert loss(*logits, target).isnan()


@pytest.mark.parametrize(
    'loss', [KDLoss(impl='eager'), KDLoss(impl='fused'), CWDLoss()]
)
@pytest.mark.parametrize('of', [0, 1])
def test_a_neighbor_of_weight_0_has_no_part(loss, of, device):
    """Row 7 of the label lies on row 2 of the logits; row 3 is its neighbor."""
    loss.resolution = 'label'
    *logits, target = batch('upsampled, odd', torch.float32, device)
    target[:, 8:] = 255
    found = []
    for value in (0.0, torch.nan):
        logits[of][:, :, 3] = value
        leaf = logits[0].clone().requires_grad_()
        value = loss(leaf, logits[1], target)
        gradient = torch.autograd.grad(value, leaf, create_graph=True)
        found.append([value, *gradient])
    assert_close(*found)


@pytest.mark.parametrize('options', KD_OPTIONS)
def test_second_derivatives(options, device):
    """The fused loss takes them of the eager one."""
    student, teacher, target = batch('upsampled', torch.float64, device)
    loss = KDLoss(impl='fused', resolution='label', **options)
    found = []
    for bad in (0.0, torch.nan):
        student[..., 0, 0] = teacher[..., 0, 0] = bad
        leaf = student.clone().requires_grad_()
        value = loss(leaf, teacher, target)
        (gradient,) = torch.autograd.grad(value, leaf, create_graph=True)
        found.append(torch.autograd.grad(gradient.square().sum(), leaf)[0])
    assert_same(*found)
    assert found[0].abs().sum() > 0
