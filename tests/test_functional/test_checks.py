"""Messages of the checks."""

import pytest
import torch

from mmkd.functional import balanced_kl_divergence, kd_loss, kl_divergence, standardize
from mmkd.functional.checks import check_logits, check_pair
from mmkd.functional.standardize import prepare_logits

MAP, VECTORS = torch.zeros(2, 5, 3, 4), torch.zeros(2, 5)
EMPTY = (
    'is empty: its shape is (0, 5); skip empty batches, and check the crop size and '
    'any filtering of samples'
)


@pytest.mark.parametrize(
    ('function', 'args', 'message'),
    [
        (
            check_pair,
            (MAP, MAP.mT),
            'student and teacher logits must have the same shape, but have '
            '(2, 5, 3, 4) and (2, 5, 4, 3)',
        ),
        (kl_divergence, (VECTORS[:0],) * 2, f'the batch of logits {EMPTY}'),
        (
            check_logits,
            (VECTORS[:0], VECTORS[:0], None),
            f"the batch of the student's logits {EMPTY}",
        ),
        (
            check_logits,
            (MAP[0], MAP[0], None),
            "logits must be (N, C) or (N, C, H, W), but the student's are (5, 3, 4): "
            'name the module whose output to compare with student=... in the loss '
            'config',
        ),
        (
            check_logits,
            (VECTORS, VECTORS, torch.zeros(2, 5, dtype=torch.long)),
            'target (2, 5) does not match logits (2, 5): expected (N,) or (N, H, W)',
        ),
        (
            check_logits,
            (VECTORS, VECTORS, torch.zeros(2, 4)),
            'target (2, 4) does not match logits (2, 5): expected (N,) or (N, H, W)',
        ),
        (
            standardize,
            (torch.zeros(4, 2),),
            'standardization needs at least 3 entries along dim 1, but logits of shape '
            '(4, 2) have 2: two standardized logits are always +-0.71; set '
            'standardize=False and scale_compensated=False',
        ),
        (
            balanced_kl_divergence,
            (VECTORS, VECTORS, 1.0, None, 0.0, 0.0),
            'forward_weight and reverse_weight must not both be 0',
        ),
    ],
)
def test_message(function, args, message):
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        function(*args)
    assert str(raised.value) == message


def test_temperatures_beside_a_tensor_are_checked():
    with pytest.raises(ValueError, match=r'^tau_teacher must'):
        kd_loss(VECTORS, VECTORS, torch.tensor(2.0), -1.0)


def test_temperature_of_the_teacher_beside_the_default():
    _, teacher = prepare_logits(VECTORS + 1, VECTORS + 1, tau_teacher=2.0)
    assert torch.equal(teacher, VECTORS + 0.5)
