import numpy as np

from mmkd.visualization import (
    PanelRow,
    agreement_column,
    class_columns,
    error_column,
    kl_column,
    panel_columns,
)
from mmkd.visualization.panel import _paint
from mmkd.visualization.panel_column import BLANK

META = dict(
    classes=('road', 'sky', 'car'),
    palette=[[128, 64, 128], [70, 130, 180], [0, 0, 142]],
)
LABEL = np.array([[0, 1, 2], [2, 2, 255]])
BASELINE = np.array([[0, 0, 2], [1, 2, 2]])
DISTILLED = np.array([[0, 1, 0], [0, 2, 2]])
TEACHER = np.array([[1, 1, 0], [2, 2, 0]])
NETWORKS = dict(teacher=TEACHER, baseline=BASELINE, distilled=DISTILLED)
KL = np.arange(6.0).reshape(2, 3)
ROW = PanelRow(np.full((2, 3, 3), 77, np.uint8), LABEL, NETWORKS, dict(distilled=KL))


def named(column):
    """The names of the numbers that a column shows of the row."""
    names = [name for name, _ in column.legend]
    return [['' if n == BLANK else names[n] for n in line] for line in column.tile(ROW)]


def test_paint():
    legend = tuple(zip(META['classes'], META['palette'], strict=True))
    numbers = np.array([[0, 1, 2], [3, BLANK, 255]])
    white = [255, 255, 255]
    assert _paint(numbers, legend).tolist() == [META['palette'], [white] * 3]


def test_class_columns():
    image, label, teacher = class_columns(META, ['teacher'])
    assert (image.tile(ROW) == 77).all()
    assert image.legend is None
    assert label.tile(ROW).tolist() == [[0, 1, 2], [2, 2, BLANK]]
    assert (teacher.tile(ROW) == TEACHER).all()  # where there is no label, too
    assert label.legend == teacher.legend
    assert [name for name, _ in label.legend] == list(META['classes'])


def test_agreement():
    same, other = 'same class', 'another class'
    assert named(agreement_column('distilled', 'teacher')) == [
        [other, same, same],
        [other, same, ''],
    ]


def test_error_of_one_network():
    assert named(error_column('distilled')) == [
        ['right', 'right', 'wrong'],
        ['wrong', 'right', ''],
    ]


def test_error_of_two_networks():
    assert named(error_column('distilled', against='baseline')) == [
        ['both right', 'only distilled right', 'only baseline right'],
        ['both wrong', 'both right', ''],
    ]


def test_kl():
    column = kl_column('distilled')
    np.testing.assert_array_equal(column.tile(ROW), [[0, 1, 2], [3, 4, np.nan]])
    assert column.unit == 'KL(teacher || distilled), nats'


def test_columns_of_named_networks():
    def titles(*networks):
        return [column.title for column in panel_columns(META, *networks)]

    assert titles('distilled', 'teacher', 'baseline') == [
        *('image', 'label', 'teacher', 'baseline', 'distilled'),
        *('agreement', 'error', 'KL divergence'),
    ]
    assert titles('distilled') == ['image', 'label', 'distilled', 'error']
    assert len(panel_columns(META, 'distilled', 'teacher', 'baseline')[6].legend) == 4
