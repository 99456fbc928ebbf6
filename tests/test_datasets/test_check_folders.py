"""Files that a dataset lists, and those that it leaves out."""

import logging

import pytest
from mmengine.fileio import list_dir_or_file
from mmengine.logging import MMLogger
from mmseg.registry import DATASETS
from PIL import Image

from mmkd.datasets.build_dataset import build_dataset
from mmkd.datasets.check_folders import files_in
from mmkd.errors import UserError

KEY = 'val_dataloader.dataset'


def write(folder, *names):
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix.lower() in ('.png', '.jpg'):
            Image.new('L', (4, 4)).save(file)
        else:
            file.touch()


def build(root, wrap=lambda inner: inner, **kwargs):
    inner = dict(
        type='BaseSegDataset',
        data_root=str(root),
        data_prefix=dict(img_path='image', seg_map_path='label'),
        metainfo=dict(classes=('a', 'b', 'c')),
        pipeline=[],
        **kwargs,
    )
    return build_dataset(dict(val_dataloader=dict(dataset=wrap(inner))), 'val')


@pytest.fixture
def warnings(monkeypatch):
    """Messages that are logged as warnings."""
    lines = []

    def log(level, text):
        if level == logging.WARNING:
            lines.append(text)

    monkeypatch.setattr(MMLogger.get_current_instance(), 'log', log)
    return lines


def names(dataset):
    infos = map(dataset.get_data_info, range(len(dataset)))
    return [info['img_path'].rpartition('image/')[2] for info in infos]


def test_files_are_those_that_mmengine_lists(tmp_path):
    write(tmp_path, 'a.png', 'b/c.txt', 'b/d/e.jpg', '.hidden', '.f/g.png', 'b/.h.png')
    write(tmp_path.with_name('elsewhere'), 'i.png')
    (tmp_path / 'linked').symlink_to(tmp_path.with_name('elsewhere'))
    (tmp_path / 'broken.png').symlink_to('absent.png')
    found = list(files_in(str(tmp_path)))
    assert found == list(list_dir_or_file(tmp_path, list_dir=False, recursive=True))
    assert set(found) == {'a.png', 'b/c.txt', 'b/d/e.jpg', '.f/g.png', 'linked/i.png'}


def test_symbolic_links(tmp_path, warnings):
    """Below them there may be all of the images."""
    write(tmp_path, 'disk/a.jpg', 'disk/b.jpg')
    (tmp_path / 'root/image').mkdir(parents=True)
    (tmp_path / 'root/image/city').symlink_to(tmp_path / 'disk')
    assert names(build(tmp_path / 'root')) == ['city/a.jpg', 'city/b.jpg']
    assert not warnings


@DATASETS.register_module()
class Archive(DATASETS.get('BaseSegDataset')):
    """A user's own dataset, whose prefix is no folder."""

    def load_data_list(self):
        return [dict(img_path='image/a'), dict(img_path='image/b')]


def test_own_list(tmp_path, warnings):
    prefix = dict(img_path='images.zip')
    config = dict(type='Archive', data_root='gone', data_prefix=prefix, pipeline=[])
    loader = dict(dataset=config)
    assert names(build_dataset(dict(val_dataloader=loader), 'val')) == ['a', 'b']
    assert not warnings


def test_files_left_out(tmp_path, warnings):
    write(tmp_path, *(f'image/{x}' for x in ('a.png', 'b.PNG', 'x/c.PNG', 'd.txt')))
    assert names(build(tmp_path, img_suffix='.png')) == ['a.png']
    assert warnings == [
        f"{KEY}: 3 files in '{tmp_path}/image' are not used, as they do not end with "
        "img_suffix '.png': 2 *.PNG, 1 *.txt, such as 'b.PNG'"
    ]


def test_files_that_camvid_leaves_out(tmp_path, warnings):
    """Its images have one of two suffixes."""
    write(tmp_path, *(f'image/{x}' for x in ('a.png', 'b.jpg', 'c.PNG')))
    assert names(build(tmp_path, camvid)) == ['a.png', 'b.jpg']
    assert warnings == [
        f"{KEY}: 1 files in '{tmp_path}/image' are not used, as they do not end with "
        "img_suffix '.png' or '.jpg': 1 *.PNG, such as 'c.PNG'"
    ]


def camvid(inner):
    return dict(inner, type='mmkd.CamVidDataset', metainfo=None)


def test_blank_lines_that_camvid_skips(tmp_path, warnings):
    write(tmp_path, 'image/a.png', 'image/b.txt')
    (tmp_path / 'split.txt').write_text('a\n\n')
    assert names(build(tmp_path, camvid, ann_file='split.txt')) == ['a.png']
    assert not warnings


def test_labels_beside_the_images(tmp_path, warnings):
    write(tmp_path, 'image/a.jpg', 'image/a_label.png')
    suffixes = dict(seg_map_suffix='_label.png')
    prefix = dict(img_path='image', seg_map_path='image')

    def beside(inner):
        return dict(inner, data_prefix=prefix)

    assert names(build(tmp_path, beside, **suffixes)) == ['a.jpg']
    assert not warnings


def test_split_leaves_out_on_purpose(tmp_path, warnings):
    write(tmp_path, 'image/a.jpg', 'image/b.jpg', 'image/c.png')
    (tmp_path / 'split.txt').write_text('b\n')
    assert names(build(tmp_path, ann_file='split.txt')) == ['b.jpg']
    assert not warnings


WRAPPERS = [
    lambda inner: inner,
    lambda inner: dict(type='RepeatDataset', times=2, dataset=inner),
    lambda inner: dict(type='ConcatDataset', datasets=[inner]),
]


@pytest.mark.parametrize('wrap', WRAPPERS)
@pytest.mark.parametrize(
    ('content', 'error'),
    [
        (None, "split.txt' does not exist"),
        ('', "split.txt' is empty"),
        ('\n \n', "split.txt' is empty|line 1 of .*split.txt' is blank"),
        ('a\n\nb\n', "line 2 of '.*split.txt' is blank"),
    ],
)
@pytest.mark.parametrize('serialize', [True, False])
def test_split_file(tmp_path, content, error, wrap, serialize):
    write(tmp_path, 'image/a.jpg', 'image/b.jpg', 'label/a.png')
    if content is not None:
        (tmp_path / 'split.txt').write_text(content)
    with pytest.raises(UserError, match=error) as raised:
        build(tmp_path, wrap, ann_file='split.txt', serialize_data=serialize)
    assert str(raised.value).startswith(KEY)
    assert '.ann_file: ' in str(raised.value)
    assert '\n' not in str(raised.value)


def test_folder_without_images(tmp_path):
    write(tmp_path, 'image/a.JPG', 'image/b.JPG')
    error = r'contains no image \(\*\.jpg\), but 2 \*\.JPG;'
    for serialize in (True, False):
        with pytest.raises(UserError, match=error):
            build(tmp_path, serialize_data=serialize)


def test_missing_folder(tmp_path):
    write(tmp_path, 'label/a.png')
    with pytest.raises(UserError, match=rf"^{KEY}.data_prefix.img_path: '.*/image' d"):
        build(tmp_path)


def test_missing_folder_beside_a_dataset_that_is_built(tmp_path):
    write(tmp_path, 'whole/image/a.jpg', 'part/label/a.png')
    whole = build(tmp_path / 'whole').dataset

    def join(part):
        return dict(type='ConcatDataset', datasets=[whole, part])

    with pytest.raises(UserError, match=rf'^{KEY}.datasets.1.data_prefix.img_path'):
        build(tmp_path / 'part', join)
