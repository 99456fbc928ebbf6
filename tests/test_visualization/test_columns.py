import numpy as np

from mmkd.visualization import Row, agreement, comparison, divergence, error, maps
from mmkd.visualization.columns import BLANK, VERDICTS, colour, compare

META = dict(
    classes=('road', 'sky', 'car'),
    palette=[[128, 64, 128], [70, 130, 180], [0, 0, 142]],
)
LABEL = np.array([[0, 1, 2], [2, 2, 255]])
ALONE = np.array([[0, 0, 2], [1, 2, 2]])
DISTILLED = np.array([[0, 1, 0], [0, 2, 2]])
TEACHER = np.array([[1, 1, 0], [2, 2, 0]])
NETWORKS = dict(teacher=TEACHER, alone=ALONE, distilled=DISTILLED)
KL = np.arange(6.0).reshape(2, 3)
ROW = Row(np.full((2, 3, 3), 77, np.uint8), LABEL, NETWORKS, dict(distilled=KL))


def named(column):
    """The names of the numbers that a column shows of the row."""
    names = [name for name, _ in column.key]
    return [['' if n == BLANK else names[n] for n in line] for line in column.tile(ROW)]


def test_compare():
    label = np.array([0, 0, 0, 0])
    verdict = compare(label, np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]))
    assert [VERDICTS[i][0] for i in verdict] == [
        'both right',
        'only {second} right',
        'only {first} right',
        'both wrong',
    ]


def test_colour():
    key = tuple(zip(META['classes'], META['palette'], strict=True))
    numbers = np.array([[0, 1, 2], [3, BLANK, 255]])
    white = [255, 255, 255]
    assert colour(numbers, key).tolist() == [META['palette'], [white] * 3]


def test_maps():
    image, label, teacher = maps(META, ['teacher'])
    assert (image.tile(ROW) == 77).all()
    assert image.key is None
    assert label.tile(ROW).tolist() == [[0, 1, 2], [2, 2, BLANK]]
    assert (teacher.tile(ROW) == TEACHER).all()  # where there is no label, too
    assert label.key == teacher.key
    assert [name for name, _ in label.key] == list(META['classes'])


def test_agreement():
    same, other = 'same class', 'another class'
    assert named(agreement('distilled', 'teacher')) == [
        [other, same, same],
        [other, same, ''],
    ]


def test_error_of_one_network():
    assert named(error('distilled')) == [
        ['right', 'right', 'wrong'],
        ['wrong', 'right', ''],
    ]


def test_error_of_two_networks():
    assert named(error('distilled', against='alone')) == [
        ['both right', 'only distilled right', 'only alone right'],
        ['both wrong', 'both right', ''],
    ]


def test_divergence():
    column = divergence('distilled')
    np.testing.assert_array_equal(column.tile(ROW), [[0, 1, 2], [3, 4, np.nan]])
    assert column.unit == 'KL(teacher || distilled), nats'


def test_comparison_has_what_there_is():
    def titles(*networks):
        return [column.title for column in comparison(META, *networks)]

    assert titles('distilled', 'teacher', 'alone') == [
        *('image', 'label', 'teacher', 'alone', 'distilled'),
        *('agreement', 'error', 'KL divergence'),
    ]
    assert titles('distilled') == ['image', 'label', 'distilled', 'error']
    assert len(comparison(META, 'distilled', 'teacher', 'alone')[6].key) == 4
