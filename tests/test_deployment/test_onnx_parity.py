import pytest
from mmengine.config import Config

from mmkd.deployment.onnx_parity import (
    find_images,
    image_size,
    images_folder,
)
from mmkd.errors import UserError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'a').mkdir()
    for name in ('a/1.png', 'a/2.JPG', 'a/notes.txt', '3.jpg', '4.png'):
        (tmp_path / name).touch()
    return tmp_path


def test_images_of_folders_and_files(folder):
    found = find_images([folder / 'a', folder / '4.png'], 9)
    assert [file.name for file in found] == ['1.png', '2.JPG', '4.png']


def test_a_few_of_many_are_evenly_spaced(folder):
    for index in range(100, 200):
        (folder / f'{index}.png').touch()
    found = find_images([folder], 5)
    assert [int(file.stem) for file in found] == [100, 120, 141, 162, 183]


@pytest.mark.parametrize('given', ['b', 'a/notes.txt'])
def test_no_images(folder, given):
    with pytest.raises(UserError, match=rf"^--images: '.*{given}' (does not|contains)"):
        find_images([folder / given], 9)


def test_folder_and_size_in_a_config():
    config = Config(
        dict(
            test_pipeline=[dict(type='Resize', scale=(480, 360))],
            test_dataloader=dict(
                dataset=dict(data_root='data', data_prefix=dict(img_path='val'))
            ),
        )
    )
    assert image_size(config) == (360, 480)
    assert str(images_folder(config)) == 'data/val'


def test_size_missing_in_a_config():
    with pytest.raises(UserError, match=r'^test_pipeline: .* --size$'):
        image_size(Config(dict(test_pipeline=[dict(type='LoadImageFromFile')])))
