"""Cases that the tests of invalid input in whole runs leave out."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from mmkd.datasets.checked_dataset import CheckedDataset
from mmkd.datasets.image_files import (
    CorruptFileError,
    check_complete,
    check_decodable,
    image_size,
)
from mmkd.datasets.wrapped_dataset import WrappedDataset
from mmkd.errors import UserError


class Fails(Dataset):
    """Dataset whose second sample raises an error."""

    metainfo = dict(classes=('one',))

    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 3

    def __getitem__(self, index):
        if index == 1:
            raise self.error
        return index


def photo(path, size=(40, 30), **kwargs):
    colors = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3))
    Image.fromarray(colors.astype(np.uint8)).save(path, **kwargs)
    return str(path)


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.bmp'])
def test_whole_files(tmp_path, suffix):
    path = photo(tmp_path / f'a{suffix}')
    check_complete(path)
    check_decodable(path)
    assert image_size(path) == (40, 30)


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
@pytest.mark.parametrize('share', [0.5, 0.99])
def test_truncated_files(tmp_path, suffix, share):
    file = tmp_path / f'a{suffix}'
    whole = photo(file) and file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CorruptFileError, match='truncated or damaged'):
        check_complete(str(file))


@pytest.mark.parametrize('content', [b'', b'text', b'\xff\xd8'])
def test_what_pillow_cannot_open(tmp_path, content):
    """A file unknown to Pillow is left to the loader, and named if that fails."""
    file = tmp_path / 'a.jpg'
    file.write_bytes(content)
    check_complete(str(file))
    assert image_size(str(file)) is None
    with pytest.raises(CorruptFileError, match=r'truncated or|is empty'):
        check_decodable(str(file))


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_what_cameras_append(tmp_path, suffix):
    """Bytes after the end of an image are accepted."""
    path = photo(tmp_path / f'a{suffix}')
    with open(path, 'ab') as file:
        file.write(bytes(100))
    check_complete(path)


def test_damage_in_the_middle(tmp_path):
    """Shows in decoding alone."""
    file = tmp_path / 'a.png'
    whole = photo(file) and bytearray(file.read_bytes())
    whole[500:600] = bytes(100)
    file.write_bytes(whole)
    check_complete(str(file))
    with pytest.raises(CorruptFileError, match='damaged'):
        check_decodable(str(file))


@pytest.mark.parametrize('path', ['gone.png', 's3://bucket/a.png', __file__])
def test_what_only_the_loader_can_read(path):
    assert image_size(path) is None
    check_complete(path)
    check_decodable(path)


def test_failing_pipeline():
    """Says where, for it may be the user's own; other samples are as they were."""
    checked = CheckedDataset(Fails(KeyError('no\nimg')), skip=True)
    assert checked[0] == 0
    assert checked.metainfo == Fails.metainfo
    with pytest.raises(UserError) as raised:
        checked[1]
    error = str(raised.value)
    assert error.startswith('sample 1: the pipeline fails on this sample (KeyError: ')
    assert 'test_checked_dataset.py, line ' in error
    assert '\n' not in error


@pytest.mark.parametrize('kind', [UserError, CorruptFileError])
def test_error_of_a_worker_is_one_line(kind):
    loader = DataLoader(CheckedDataset(Fails(kind('a file: fix it'))), num_workers=1)
    with pytest.raises(kind) as raised:
        list(loader)
    assert str(raised.value) == 'a file: fix it'


def test_nothing_can_be_read():
    class Nothing(Fails):
        def __getitem__(self, index):
            raise CorruptFileError('a file')

    checked = CheckedDataset(Nothing(None), skip=True)
    with pytest.raises(UserError, match='none of 3 samples of dataset can be read'):
        checked[2]
    assert checked.skipped.all()


def test_label_without_a_class():
    class Label:
        gt_sem_seg = torch.nn.Module()

    class Labels(Fails):
        def __getitem__(self, index):
            sample = Label()
            sample.gt_sem_seg.data = torch.tensor([[0, 4, 255], [index, 4, 100]])
            return dict(data_samples=sample)

    for classes in (5, 100):  # the classes of 100 are 0 to 99
        with pytest.raises(UserError, match=rf'label value 100, .* is {classes},'):
            CheckedDataset(Labels(None), classes)[0]
    assert CheckedDataset(Labels(None), 101)[0]
    with pytest.raises(UserError, match='is 1, and 255 is ignored'):
        CheckedDataset(Labels(None))[0]  # as its metainfo says
    with pytest.raises(UserError, match='label value 255'):
        CheckedDataset(Labels(None), 101, ignore_index=7)[0]


def test_attributes_are_set_on_the_dataset_itself():
    """A hook that replaces the pipeline of a running training, for example."""
    inner = SimpleNamespace(pipeline='old', __len__=None)
    wrapped = WrappedDataset(WrappedDataset(inner))
    wrapped.pipeline = 'new'
    wrapped.own = 1
    assert inner.pipeline == 'new'
    assert wrapped.own == 1
    assert not hasattr(inner, 'own')
