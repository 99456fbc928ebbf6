import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from mmkd.distillation.tap_checks import (
    check_channels,
    check_gradient,
    check_kinds,
    check_tap,
)
from mmkd.distillation.taps import record
from mmkd.errors import UserError
from tests.conftest import build_distiller, random_batch

IMAGES = torch.zeros(2, 3, 65, 128)
KEY = r'^distill_losses\.loss_kd'


def check(student, teacher):
    key, taps = 'distill_losses.loss_kd', ('ours', 'theirs')
    student, teacher = (torch.zeros(shape) for shape in (student, teacher))
    check_tap(f'{key}.student', taps[0], student, IMAGES)
    check_tap(f'{key}.teacher', taps[1], teacher, IMAGES)
    check_kinds(key, taps, student, teacher)
    channels = student.shape[1], teacher.shape[1]
    check_channels(key, taps, channels, features=False)


@pytest.mark.parametrize(
    'shape', [(9, 16), (8, 16), (65, 128), (3, 4), (2, 4), (17, 32), (1, 1)]
)
def test_maps_of_all_strides(shape):
    check((2, 5, *shape), (2, 5, 65, 128))


def test_vectors():
    check((2, 5), (2, 5))


@pytest.mark.parametrize(
    ('student', 'teacher', 'message'),
    [
        ((2, 5, 1, 512), (2, 5, 8, 16), r"\.student: 'ours' .*aspect ratio.*65x128"),
        ((2, 5, 8, 16), (2, 5, 1, 512), r"\.teacher: 'theirs' .*aspect ratio"),
        ((2, 128, 5), (2, 5), r"\.student: 'ours' outputs .*\(2, 128, 5\), not logits"),
        ((4, 5), (2, 5), r"\.student: 'ours' .*of the 2 images"),
        ((2, 5, 8, 16), (2, 5), r": the teacher's 'theirs' outputs a vector"),
        ((2, 5), (2, 5, 8, 16), r": the teacher's 'theirs' outputs a map"),
        (
            (2, 5),
            (2, 6),
            r": the teacher's 'theirs' outputs 6 channels, but .*'ours' 5",
        ),
    ],
)
def test_invalid_outputs(student, teacher, message):
    with pytest.raises(UserError, match=KEY + message) as raised:
        check(student, teacher)
    assert '\n' not in str(raised.value)


def test_features_may_have_an_adapter():
    with pytest.raises(UserError, match=r"or other taps; for features, set adapter='"):
        check_channels('distill_losses.loss_cwd', ('a', 'b'), (5, 6), features=True)


def test_no_gradient():
    key = 'distill_losses.loss_kd.student'
    with pytest.raises(UserError, match=rf"^{key}: the output of 'ours'"):
        check_gradient(key, 'ours', torch.zeros(2, 5))
    with torch.no_grad():  # such as a loss that is only measured
        check_gradient(key, 'ours', torch.zeros(2, 5))


class Block(nn.Module):
    """A block as of a backbone with ``with_cp=True``."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 1)

    def forward(self, inputs):
        def inner(maps):
            return self.conv(maps) + 1

        return checkpoint(inner, inputs, use_reentrant=True)


def test_inside_a_checkpointed_block():
    block = Block()
    images = IMAGES.clone().requires_grad_()
    with record(block, ['conv', '']) as outputs:
        block(images)
    check_gradient('key.student', '', outputs[''])
    with pytest.raises(UserError, match=r"key\.student: .*'conv'.*with_cp=True"):
        check_gradient('key.student', 'conv', outputs['conv'])


def test_the_first_batch_is_checked(distiller_config):
    """And none after it."""
    distiller = build_distiller(distiller_config)
    data = distiller.data_preprocessor(random_batch(), True)
    distiller.student.requires_grad_(False)
    with pytest.raises(UserError, match=KEY + r'\.student: .*carries no gradient'):
        distiller(**data, mode='loss')
    distiller.student.requires_grad_(True)
    distiller(**data, mode='loss')
    distiller.student.requires_grad_(False)
    distiller(**data, mode='loss')
