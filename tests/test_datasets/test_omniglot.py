import zipfile

import numpy as np
import pytest

from mmkd.datasets import Omniglot
from mmkd.errors import UserError

from .omniglot import SUBSET, write_archive


@pytest.fixture
def archive(tmp_path):
    return write_archive(tmp_path)


@pytest.mark.parametrize(('split', 'drawers'), [('train', 14), ('test', 6)])
def test_splits(archive, split, drawers):
    dataset = Omniglot(str(archive.parent), split=split)
    assert len(dataset) == 5 * drawers
    labels = [dataset[i]['gt_label'] for i in range(len(dataset))]
    assert labels == [label for label in range(5) for _ in range(drawers)]
    assert dataset.metainfo['classes'] == (
        'Greek/character01',
        'Greek/character02',
        'Greek/character03',
        'Latin/character01',
        'Latin/character02',
    )


def test_images(archive):
    """Images are black on white, in three equal channels."""
    dataset = Omniglot(str(archive.parent), split='test')
    image = dataset[0]['img']
    assert image.shape == (105, 105, 3)
    assert image.dtype == np.uint8
    assert set(np.unique(image)) == {0, 255}
    assert (image == image[..., :1]).all()
    assert image.mean() > 127


def test_who_draws_decides_the_split(archive):
    """No image is in both; the test set has the last six drawers' in their order."""
    splits = [Omniglot(str(archive.parent), split=s) for s in ('train', 'test')]
    train, test = (
        [data[i]['img'].tobytes() for i in range(len(data))] for data in splits
    )
    assert not set(train) & set(test)
    with zipfile.ZipFile(archive) as file:
        first = file.read(f'{SUBSET}/Greek/character01/0001_15.png')
    assert test[0] == decoded(first)


def test_some_drawers(archive):
    dataset = Omniglot(str(archive.parent), drawers=[13, 15])
    assert [dataset[i]['gt_label'] for i in range(4)] == [0, 0, 1, 1]
    with zipfile.ZipFile(archive) as file:
        images = [
            decoded(file.read(f'{SUBSET}/Greek/character01/0001_{drawer}.png'))
            for drawer in (13, 15)
        ]
    assert [dataset[i]['img'].tobytes() for i in range(2)] == images


@pytest.mark.parametrize('drawers', [[], [0], [1, 21]])
def test_no_such_drawer(archive, drawers):
    with pytest.raises(UserError, match='drawers must be among 1 to 20, but is'):
        Omniglot(str(archive.parent), drawers=drawers)


def decoded(data):
    from mmcv import imfrombytes

    return imfrombytes(data).tobytes()


def test_unpacked_is_the_same(archive, tmp_path):
    zipped = Omniglot(str(tmp_path), split='train')
    zipfile.ZipFile(archive).extractall(tmp_path / 'unpacked')
    (tmp_path / 'unpacked' / SUBSET / '.DS_Store').touch()
    unpacked = Omniglot(str(tmp_path / 'unpacked'), split='train')
    assert unpacked.metainfo == zipped.metainfo
    assert len(unpacked) == len(zipped)
    for one, other in zip(unpacked, zipped, strict=True):
        assert (one['img'] == other['img']).all()
        assert one['gt_label'] == other['gt_label']


def test_missing(tmp_path):
    with pytest.raises(UserError, match=f"^data_root: '.*' has neither {SUBSET}/ nor"):
        Omniglot(str(tmp_path))


def test_unknown_split(tmp_path):
    with pytest.raises(UserError, match="split must be 'train' or 'test'"):
        Omniglot(str(tmp_path), split='val')
