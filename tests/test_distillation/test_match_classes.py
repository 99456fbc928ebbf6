"""Classes of a teacher that are not the dataset's."""

import re

import pytest
from mmengine.config import Config
from mmseg.datasets import CityscapesDataset

from mmkd.datasets import CamVidDataset
from mmkd.distillation.match_classes import match_classes
from mmkd.errors import UserError

CITYSCAPES = CityscapesDataset.METAINFO['classes']
CAMVID = CamVidDataset.METAINFO['classes']
# As in docs/other_classes_and_sizes.md.
CAMVID_FROM_CITYSCAPES = {
    'pavement': 'sidewalk',
    'tree': 'vegetation',
    'sign symbol': ['traffic sign', 'traffic light'],
    'pedestrian': 'person',
    'bicyclist': ['rider', 'bicycle'],
    'car': ['car', 'truck', 'bus'],
}
ABC = ('a', 'b', 'c')


def match(ours, theirs, config=None, counts=None):
    return match_classes(ours, theirs, counts or (len(ours), len(theirs)), config)


def test_camvid_from_cityscapes():
    class_map, line = match(CAMVID, CITYSCAPES, CAMVID_FROM_CITYSCAPES)
    found = {
        CAMVID[index]: [CITYSCAPES[output] for output in group]
        for index, group in enumerate(class_map.groups)
    }
    assert found['sky'] == ['sky']
    assert found['sign symbol'] == ['traffic sign', 'traffic light']
    assert found['car'] == ['car', 'truck', 'bus']
    assert class_map.complete
    assert [CITYSCAPES[i] for i in class_map.unused] == [
        'wall', 'terrain', 'train', 'motorcycle',
    ]  # fmt: skip
    assert '\n' not in line
    assert "'bicyclist' <- 'rider' + 'bicycle'" in line
    assert line.endswith(
        "left out: none; unused outputs of the teacher: 'wall', 'terrain', 'train', "
        "'motorcycle'"
    )


@pytest.mark.parametrize(
    ('ours', 'theirs', 'config', 'counts', 'groups'),
    [
        (ABC, ABC, None, None, [[0], [1], [2]]),
        (ABC, ('C', ' a', 'b_'), None, None, [[1], [2], [0]]),
        (ABC, ('void', 'a', 'b', 'c'), None, None, [[1], [2], [3]]),
        (('Traffic light', 'b'), ('b', 'traffic_light'), None, None, [[1], [0]]),
        (ABC, (), None, (3, 3), [[0], [1], [2]]),
        ((), ABC, None, (3, 3), [[0], [1], [2]]),
        (ABC, (), {'a': 2, 1: [0, 1], 'c': 3}, (3, 4), [[2], [0, 1], [3]]),
        (ABC, ABC, {'b': None}, None, [[0], [], [2]]),
        (ABC, ABC, {'1': None}, None, [[0], [], [2]]),  # of --cfg-options
        (ABC, ('a', 'b', 'x', '7'), {'c': '7'}, None, [[0], [1], [3]]),
        (ABC, (), {'b': None}, (3, 3), [[0], [], [2]]),
        (ABC, ('a', 'b', 'x'), {'c': ('x',)}, None, [[0], [1], [2]]),
        # A name twice, in the same order.
        (('a', 'b', 'a'), ('a', 'b', 'a'), None, None, [[0], [1], [2]]),
        # Heads with more outputs than the dataset has classes.
        (ABC, ABC, None, (4, 4), [[0], [1], [2], [3]]),
        (ABC, ('c', 'a', 'b'), None, (4, 3), [[1], [2], [0], []]),
        # Names of more classes than outputs.
        (ABC, ('a', 'b', 'c', 'void'), None, (3, 3), [[0], [1], [2]]),
    ],
)
def test_matches(ours, theirs, config, counts, groups):
    class_map, line = match(ours, theirs, config, counts)
    assert class_map.groups == tuple(map(tuple, groups))
    changed = groups != [[index] for index in range(class_map.outputs)]
    assert bool(line) == changed


def test_one_channel_has_no_map():
    for counts in ((1, 1), (1, 2), (2, 1)):
        for ours, theirs in ((ABC[:2], ()), (ABC[:2], ABC[:2])):
            class_map, line = match(ours, theirs, None, counts)
            assert class_map.identity
            assert not line
    for config, theirs, counts in (
        ({'a': 'b'}, ABC[:2], (1, 1)),
        (None, ('b', 'a'), (1, 1)),
        (None, (), (1, 3)),
    ):
        with pytest.raises(UserError, match='one channel, with a sigmoid, cannot be'):
            match(ABC[:2], theirs, config, counts)


@pytest.mark.parametrize(
    ('ours', 'theirs', 'config', 'says'),
    [
        (
            CAMVID,
            CITYSCAPES,
            None,
            "no class of the teacher has these names: 'pavement', 'tree', "
            "'sign symbol', 'pedestrian', 'bicyclist'; write class_map={'pavement': "
            "the teacher's class, a list of its classes, or None to leave the class "
            "out of the comparison, ...}; unused classes of the teacher: 'sidewalk', "
            "'wall', 'traffic light',",
        ),
        (ABC, ABC, {'d': 'a'}, "the dataset has no class 'd'; did you mean 'c' or"),
        (
            CAMVID,
            CITYSCAPES,
            {'pavement': 'sidewalks'},
            "the teacher has no class 'sidewalks'; did you mean 'sidewalk' or",
        ),
        (
            CAMVID,
            CITYSCAPES,
            {'sidewalk': 'pavement'},
            "'sidewalk' is a class of the teacher and 'pavement' the dataset's; write "
            "{'pavement': 'sidewalk'}, the dataset's first",
        ),
        (ABC, ABC, {'a': 'b', 'b': 'b'}, "'b' is used for 'a' and 'b'"),
        (ABC, ABC, {'a': ['a', 'b']}, "the teacher's 'b' is used for 'a' and 'b'"),
        (ABC, ABC, {'a': 0, 0: 'a'}, "'a' is given twice"),
        (ABC, ABC, {3: 0}, 'the dataset has no class 3, only 0 to 2'),
        (ABC, ABC, {'a': -1}, 'the teacher has no class -1, only 0 to 2'),
        (ABC, ABC, {'a': 1.5}, '1.5 is no class'),
        (ABC, ABC, {'a': [None]}, 'None is no class'),
        (ABC, ABC, {'a': True}, 'True is no class'),
        (ABC, ABC, {'a': []}, "'a' has an empty list; write None"),
        (ABC, ABC, {'a': None, 'b': None}, 'leaves 1 of the 3 classes'),
    ],
)
def test_refuses(ours, theirs, config, says):
    with pytest.raises(UserError, match=f'^teacher.class_map: .*{re.escape(says)}'):
        match(ours, theirs, config)


@pytest.mark.parametrize(
    ('ours', 'theirs', 'config', 'counts', 'says'),
    [
        (ABC, (), None, (3, 4), "the teacher's are not known, so that these are not"),
        ((), ABC, None, (4, 3), "the dataset's are not known, so that these are not"),
        (ABC, (), {'a': 'x'}, (3, 3), "'x' cannot be found"),
        (ABC, (), {'a': 0, 'b': 1}, (3, 4), "not matched: 'c'; write"),
    ],
)
def test_refuses_without_names(ours, theirs, config, counts, says):
    with pytest.raises(UserError, match=f'^teacher.class_map: .*{re.escape(says)}'):
        match(ours, theirs, config, counts)


def test_names_of_an_untrusted_checkpoint_stay_on_one_line():
    names = ('a\n2026-01-01 - mmengine - ERROR - b', 'x' * 999, ['y'], 'a', 'b')
    _, line = match(('a', 'b'), names)
    assert '\n' not in line
    assert len(line) < 400


def test_many_classes_are_matched_in_a_moment():
    names = [f'class {number}' for number in range(20_000)]
    class_map, _ = match(names, names[::-1])
    assert class_map.groups[0] == (19_999,)


def test_survives_the_recorded_config():
    """As MMEngine dumps it, and mmkd reads it without executing it."""
    from mmkd.engine.recorded_config import recorded_config

    teacher = dict(class_map={'sign symbol': ['a', 2], 3: None}, size=(4, 8))
    config = Config(dict(model=dict(), teacher=teacher))
    found = recorded_config(config.pretty_text, 'config.py').teacher
    assert found.class_map == teacher['class_map']
