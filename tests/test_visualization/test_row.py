import math

import numpy as np
import pytest

from mmkd.visualization import Row

LABEL = np.array([[0, 1, 2], [2, 9, 9]])  # 9 is not labelled
SMALL = np.array([[0, 1, 1], [0, 9, 1]])
LARGE = np.array([[0, 1, 1], [2, 1, 1]])
KL = np.array([[1.0, 2, 3], [4, 100, 100]], np.float32)


def row(label=LABEL):
    image = np.zeros((*LABEL.shape, 3), np.uint8)
    return Row(image, label, dict(small=SMALL, large=LARGE), dict(small=KL), 9)


def test_only_labelled_pixels_count():
    assert row().accuracy('small') == 2 / 4
    assert row().accuracy('large') == 3 / 4
    assert row().agreement('small', 'large') == 3 / 4
    assert row().mean_kl('small') == pytest.approx(2.5)


def test_nothing_is_labelled():
    empty = row(np.full_like(LABEL, 9))
    for value in (empty.accuracy('small'), empty.mean_kl('small')):
        assert math.isnan(value)
