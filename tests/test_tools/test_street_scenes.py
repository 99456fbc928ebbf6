"""The drawn data set: Cityscapes' layout, every class often enough, seeded."""

import runpy

import numpy as np
import pytest
from mmseg.datasets import CityscapesDataset
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image

from .conftest import TOOLS

TOOL = 'dataset_converters/street_scenes.py'
SMALL = ('--size', 48, 96, '--train', 57, '--val', 4)
draw = runpy.run_path(str(TOOLS / TOOL))['draw']


@pytest.fixture(scope='module')
def scenes(bench):
    bench.run(TOOL, '--out', 'scenes', *SMALL)
    return bench.folder / 'scenes'


def labels(folder, split):
    pattern = f'gtFine/{split}/*/*_gtFine_labelTrainIds.png'
    return [np.array(Image.open(path)) for path in sorted(folder.glob(pattern))]


def test_mmseg_reads_it_as_cityscapes(scenes):
    for split, number in (('train', 57), ('val', 4)):
        dataset = CityscapesDataset(
            data_root=str(scenes),
            data_prefix=dict(
                img_path=f'leftImg8bit/{split}', seg_map_path=f'gtFine/{split}'
            ),
            pipeline=[LoadAnnotations()],
        )
        assert len(dataset) == number
        for item in dataset:
            assert item['gt_seg_map'].shape == (48, 96)
            assert Image.open(item['img_path']).size == (96, 48)
            assert Image.open(item['img_path']).mode == 'RGB'


def test_every_class_in_every_fifty(scenes):
    shown = [set(np.unique(label)) for label in labels(scenes, 'train')]
    assert set().union(*shown) == {*range(19), 255}
    for start in range(len(shown) - 49):
        assert set().union(*shown[start : start + 50]) >= set(range(19))


@pytest.mark.parametrize('number', range(19))
def test_shows_the_class_of_its_number(number):
    _, label = draw(48, 96, 7, 0, number)
    assert (label == number).mean() >= 0.001


def test_seeds(scenes):
    image, label = draw(48, 96, 0, 0, 3)
    (path,) = scenes.glob('leftImg8bit/train/*/*_000003_*.png')
    np.testing.assert_array_equal(np.array(Image.open(path))[..., ::-1], image)
    np.testing.assert_array_equal(labels(scenes, 'train')[3], label)
    others = [draw(48, 96, 1, 0, 3), draw(48, 96, 0, 1, 3), draw(48, 96, 0, 0, 22)]
    for other, _ in others:
        assert (other != image).mean() > 0.5


def test_noise():
    """It is added to the image, with the same scene below it."""
    image, label = draw(48, 96, 0, 0, 3)
    noisy, same = draw(48, 96, 0, 0, 3, noise=20)
    np.testing.assert_array_equal(same, label)
    inside = (image > 80) & (image < 170)  # far from being clipped
    assert 15 < (noisy[inside] - image[inside].astype(float)).std() < 22


def test_image_and_label_belong_together():
    # Within a class the colours vary less than over the whole image.
    ratios = []
    for number in range(8):
        image, label = draw(48, 96, 0, 0, number)
        within = [image[label == c].var(0).mean() for c in np.unique(label)]
        counts = [(label == c).sum() for c in np.unique(label)]
        ratios.append(np.average(within, weights=counts) / image.var((0, 1)).mean())
    assert np.mean(ratios) < 0.7


def test_second_call_keeps_what_is_there(bench, scenes):
    before = {path: path.stat().st_mtime_ns for path in scenes.rglob('*.png')}
    assert 'already exists' in bench.run(TOOL, '--out', 'scenes', *SMALL).output
    assert before == {path: path.stat().st_mtime_ns for path in scenes.rglob('*.png')}


def test_other_scenes_in_the_folder(bench, scenes):
    result = bench.run(TOOL, '--out', 'scenes', *SMALL, '--seed', 1, code=2)
    assert 'scenes contains other scenes; delete it' in result.output
