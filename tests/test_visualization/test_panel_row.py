import math

import cv2
import numpy as np
import pytest
import torch
from mmseg.datasets import BaseSegDataset
from mmseg.structures import SegDataSample
from PIL import Image

from mmkd.datasets import CamVidDataset
from mmkd.errors import UserError
from mmkd.functional.masking import EXCLUDED
from mmkd.visualization import PanelRow, evenly_spaced, image_path, panel_rows
from tests.test_deployment.networks import segmentor
from tests.test_tools.conftest import write_camvid

LOAD, LABELS = dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')
RESIZE = dict(type='Resize', scale=(48, 32), keep_ratio=True)
PACK = dict(type='PackSegInputs')
PREFIX = dict(img_path='val', seg_map_path='valannot')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('camvid')
    write_camvid(folder)
    return folder


def dataset(folder, *pipeline):
    pipeline = list(pipeline) or [LOAD, RESIZE, LABELS, PACK]
    return CamVidDataset(data_root=str(folder), data_prefix=PREFIX, pipeline=pipeline)


@pytest.fixture(scope='module')
def networks():
    torch.manual_seed(0)
    student, teacher = segmentor(), segmentor(dict(bgr_to_rgb=False))
    for parameter in student.decode_head.conv_seg.parameters():
        parameter += torch.randn_like(parameter)
    return dict(student=student, teacher=teacher)


def logits_of(network, file):
    """Those of mmseg on an image at half its size, at its own size, in float64."""
    pixels = cv2.resize(cv2.imread(str(file)), (48, 32))
    meta = dict(img_shape=(32, 48), pad_shape=(32, 48), ori_shape=(64, 96))
    inputs = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
    samples = [SegDataSample(metainfo=meta)]
    (result,) = network.test_step(dict(inputs=[inputs], data_samples=samples))
    return result.seg_logits.data.double().numpy()


def naive_kl(teacher, student):
    p, q = (np.exp(x) / np.exp(x).sum(0) for x in (teacher, student))
    return (p * np.log(p / q)).sum(0)


def test_rows(folder, networks):
    data = dataset(folder)
    rows = list(panel_rows(networks, data, [3, 0]))
    for number, row in zip((3, 0), rows, strict=True):
        file = folder / f'val/{number}.png'
        assert image_path(data, number) == str(file)
        assert (row.image == np.asarray(Image.open(file))).all()
        label = np.asarray(Image.open(folder / f'valannot/{number}.png'))
        assert (row.label == np.where(label == 11, 255, label)).all()
        logits = {name: logits_of(each, file) for name, each in networks.items()}
        assert list(row.predictions) == ['student', 'teacher']
        for name, found in row.predictions.items():
            assert (found == logits[name].argmax(0)).all()
        assert list(row.kl) == ['student']
        expected = naive_kl(logits['teacher'], logits['student'])
        assert expected.max() > 0.1
        np.testing.assert_allclose(row.kl['student'], expected, atol=1e-4)


def test_a_class_that_the_teacher_leaves_out(folder, networks):
    """Is in neither distribution; see ClassMap.spread."""

    class LeavesOut:
        def test_step(self, data):
            (result,) = networks['teacher'].test_step(data)
            result.seg_logits.data[3] = EXCLUDED
            return [result]

    both = dict(networks, teacher=LeavesOut())
    (row,) = panel_rows(both, dataset(folder), [1])
    student, teacher = (
        np.delete(logits_of(networks[name], folder / 'val/1.png'), 3, axis=0)
        for name in ('student', 'teacher')
    )
    expected = naive_kl(teacher, student)
    np.testing.assert_allclose(row.kl['student'], expected, atol=1e-4)


def test_the_teacher_is_the_one_that_is_named(folder, networks):
    (row,) = panel_rows(networks, dataset(folder), [1], teacher='student')
    logits = [logits_of(networks[n], folder / 'val/1.png') for n in networks]
    assert list(row.kl) == ['teacher']
    np.testing.assert_allclose(row.kl['teacher'], naive_kl(*logits), atol=1e-4)
    (row,) = panel_rows(dict(a=networks['student']), dataset(folder), [1])
    assert not row.kl


def test_rows_are_made_as_they_are_asked_for(folder, networks):
    asked = iter([0, 1, 99])
    rows = panel_rows(networks, dataset(folder), asked)
    next(rows)
    assert list(asked) == [1, 99]


def test_networks_and_labels_stay_as_they_are(folder, networks):
    before = {name: str(each.state_dict()) for name, each in networks.items()}
    for _ in panel_rows(networks, dataset(folder), [0]):
        pass
    assert before == {name: str(each.state_dict()) for name, each in networks.items()}
    assert not any(each.training for each in networks.values())


def test_zero_label_that_is_reduced(folder, networks):
    data = BaseSegDataset(
        data_root=str(folder),
        data_prefix=PREFIX,
        pipeline=[LOAD, RESIZE, LABELS, PACK],
        img_suffix='.png',
        metainfo=dict(classes=CamVidDataset.METAINFO['classes']),
        reduce_zero_label=True,
    )
    (row,) = panel_rows(networks, data, [0])
    label = np.asarray(Image.open(folder / 'valannot/0.png'))
    assert (row.mask == (label != 0)).all()
    assert (row.label[row.mask] == label[row.mask] - 1).all()


def test_without_labels(folder, networks):
    with pytest.raises(UserError, match=r"0.png': .*LoadAnnotations"):
        next(panel_rows(networks, dataset(folder, LOAD, PACK), [0]))


def test_a_label_that_is_resized(folder, networks):
    data = dataset(folder, LOAD, LABELS, RESIZE, PACK)
    message = r"is \(32, 48\), but student's prediction \(64, 96\); .*Resize"
    with pytest.raises(UserError, match=message):
        next(panel_rows(networks, data, [0]))


def test_other_classes(folder, networks):
    pair = dict(networks, student=segmentor(num_classes=7))
    with pytest.raises(UserError, match=r'teacher has 11 and student 7'):
        next(panel_rows(pair, dataset(folder), [0]))


def test_no_files(networks):
    with pytest.raises(UserError, match=r'^the dataset.* has no img_path'):
        next(panel_rows(networks, [1, 2], [0]))


def test_evenly_spaced():
    assert evenly_spaced(10, 4) == [0, 2, 5, 7]
    assert evenly_spaced(3, 4) == [0, 1, 2]
    assert evenly_spaced(5, 1) == [0]


LABEL = np.array([[0, 1, 2], [2, 9, 9]])  # 9 is not labeled
SMALL = np.array([[0, 1, 1], [0, 9, 1]])
LARGE = np.array([[0, 1, 1], [2, 1, 1]])
KL = np.array([[1.0, 2, 3], [4, 100, 100]], np.float32)


def small_row(label=LABEL):
    image = np.zeros((*LABEL.shape, 3), np.uint8)
    return PanelRow(image, label, dict(small=SMALL, large=LARGE), dict(small=KL), 9)


def test_only_labeled_pixels_count():
    assert small_row().accuracy('small') == 2 / 4
    assert small_row().accuracy('large') == 3 / 4
    assert small_row().agreement('small', 'large') == 3 / 4
    assert small_row().mean_kl('small') == pytest.approx(2.5)


def test_nothing_is_labeled():
    empty = small_row(np.full_like(LABEL, 9))
    for value in (empty.accuracy('small'), empty.mean_kl('small')):
        assert math.isnan(value)
