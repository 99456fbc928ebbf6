import pytest
from mmengine.logging import MessageHub

from mmkd.losses.schedule import WeightSchedule


def test_linear_warmup():
    schedule = WeightSchedule(warmup=4)
    assert [schedule.factor(step) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]


def test_stop():
    schedule = WeightSchedule(stop=2)
    assert [schedule.factor(step) for step in range(4)] == [1, 1, 0, 0]


@pytest.mark.parametrize('by_epoch', [False, True])
def test_current_reads_the_runs_position(by_epoch):
    hub = MessageHub.get_instance(f'test_schedule_{by_epoch}')
    hub.update_info('iter', 2)
    hub.update_info('epoch', 0)
    assert WeightSchedule(4, by_epoch=by_epoch).current() == (
        0.25 if by_epoch else 0.75
    )


@pytest.mark.parametrize('arguments', [dict(warmup=-1), dict(stop=0)])
def test_refuses(arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=rf'schedule\.{name}'):
        WeightSchedule(**arguments)
