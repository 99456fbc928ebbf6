import numpy as np
import pytest
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image

from mmkd.datasets import CamVidDataset
from mmkd.errors import UserError
from mmkd.registry import DATASETS

# All 12 labels, void last.
LABEL = np.arange(12, dtype=np.uint8).reshape(3, 4)


@pytest.fixture
def root(tmp_path):
    for folder in ('train', 'trainannot'):
        (tmp_path / folder).mkdir()
    for name in ('b.jpg', 'a.png', 'c.png'):
        image = Image.fromarray(np.zeros((3, 4, 3), np.uint8))
        image.save(tmp_path / 'train' / name)
        Image.fromarray(LABEL).save(tmp_path / 'trainannot' / f'{name[0]}.png')
    return tmp_path


def build(root, **kwargs):
    return DATASETS.build(
        dict(
            type='mmkd.CamVidDataset',
            data_root=str(root),
            data_prefix=dict(img_path='train', seg_map_path='trainannot'),
            pipeline=[LoadAnnotations()],
            **kwargs,
        )
    )


def names(dataset, key='img_path'):
    return [info[key].rsplit('/', 1)[-1] for info in dataset]


def test_finds_both_suffixes(root):
    dataset = build(root)
    assert names(dataset) == ['a.png', 'b.jpg', 'c.png']
    assert names(dataset, 'seg_map_path') == ['a.png', 'b.png', 'c.png']


def test_a_part_of_the_images(root):
    assert names(build(root, every=2)) == ['a.png', 'c.png']
    assert names(build(root, every=2, others=True)) == ['b.jpg']


@pytest.mark.parametrize('part', [dict(every=0), dict(others=True)])
def test_no_part_of_the_images(root, part):
    with pytest.raises(UserError, match=r'^CamVidDataset\.every: .* leaves no image'):
        build(root, **part)


@pytest.mark.parametrize('suffix', ['.jpg', ('.jpg',), ['.jpg']])
def test_one_suffix(root, suffix):
    assert names(build(root, img_suffix=suffix)) == ['b.jpg']


def test_same_name_with_two_suffixes_counts_once(root):
    (root / 'train' / 'b.png').write_bytes((root / 'train' / 'a.png').read_bytes())
    assert names(build(root)) == ['a.png', 'b.png', 'c.png']


def test_void_is_ignored(root):
    dataset = build(root)
    expected = np.where(LABEL == 11, 255, LABEL)
    np.testing.assert_array_equal(dataset[0]['gt_seg_map'], expected)
    assert len(dataset.metainfo['classes']) == len(dataset.metainfo['palette']) == 11


def test_subset_of_classes(root):
    dataset = build(root, metainfo=dict(classes=('car', 'road')))
    expected = np.full_like(LABEL, 255)
    expected[LABEL == 8] = 0
    expected[LABEL == 3] = 1
    np.testing.assert_array_equal(dataset[0]['gt_seg_map'], expected)
    assert dataset.metainfo['palette'] == [[64, 0, 128], [128, 64, 128]]


def test_unknown_class(root):
    with pytest.raises(ValueError, match='subset'):
        build(root, metainfo=dict(classes=('road', 'tram')))


def test_ann_file(root):
    (root / 'train.txt').write_text('c\nb\n\n')
    dataset = build(root, ann_file='train.txt')
    assert names(dataset) == ['c.png', 'b.jpg']
    assert names(dataset, 'seg_map_path') == ['c.png', 'b.png']


def test_ann_file_with_unknown_image(root):
    (root / 'train.txt').write_text('a\nnowhere\n')
    with pytest.raises(UserError, match=r"1 of 2 images.*'nowhere'"):
        build(root, ann_file='train.txt')


def test_without_labels(root):
    dataset = CamVidDataset(data_root=str(root), data_prefix=dict(img_path='train'))
    assert len(dataset) == 3
    assert 'seg_map_path' not in dataset.get_data_info(0)


@pytest.mark.parametrize('exists', [True, False])
def test_no_image(tmp_path, exists):
    if exists:
        (tmp_path / 'train').mkdir()
    with pytest.raises(UserError) as error:
        build(tmp_path)
    assert str(tmp_path / 'train') in str(error.value)
    assert 'data/README.md' in str(error.value)
