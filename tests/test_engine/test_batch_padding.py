import pytest
from torch import nn

from mmkd.engine.batch_padding import check_padding
from mmkd.errors import UserError
from tests.conftest import build, network


@pytest.mark.parametrize('sizes', [dict(), dict(size=None, size_divisor=32)])
def test_one_of_both(sizes):
    check_padding(build(network(**sizes)))


@pytest.mark.parametrize(
    ('sizes', 'found'),
    [(dict(size=None), 'neither it nor'), (dict(size_divisor=32), 'both it and')],
)
def test_none_or_both(sizes, found):
    key = r'^model\.data_preprocessor\.size: '
    with pytest.raises(UserError, match=f'{key}{found} size_divisor is set; set one'):
        check_padding(build(network(**sizes)))


def test_another_library():
    check_padding(nn.Linear(2, 2))
