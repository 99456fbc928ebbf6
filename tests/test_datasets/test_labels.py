"""Labels as mmseg's pipelines read them: one class index per pixel, or an error."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmseg.datasets import BaseSegDataset, MultiImageMixDataset
from mmseg.registry import TRANSFORMS
from PIL import Image

from mmkd.datasets.build_dataset import build_dataset
from mmkd.datasets.checked_dataset import CheckedDataset
from mmkd.errors import UserError

SIZE = (24, 16)  # width, height
PACK = dict(type='PackSegInputs')
LOAD = dict(type='LoadImageFromFile')
LABEL = dict(type='LoadAnnotations')
RESIZE = dict(type='Resize', scale=(48, 32), keep_ratio=True)
CROP = dict(type='RandomCrop', crop_size=(12, 12))
TRAIN = [LOAD, LABEL, RESIZE, CROP, PACK]
VAL = [LOAD, RESIZE, LABEL, PACK]
PIPELINES = {False: TRAIN, True: VAL}


def indices(*values, size=SIZE):
    """A label whose rows take these values in turn."""
    rows = np.resize(np.array(values), size[1])
    return np.repeat(rows[:, None], size[0], axis=1).astype(np.uint8)


def write(folder, *labels, save=None, **image):
    """Images with their labels; a label is saved by ``save(array, path)``."""
    for number, label in enumerate(labels):
        for name in ('image', 'label'):
            (folder / name).mkdir(exist_ok=True)
        photo = np.random.default_rng(0).integers(0, 256, (*SIZE[::-1], 3))
        photo = Image.fromarray(photo.astype(np.uint8))
        photo.save(folder / f'image/{number}.jpg', **image)
        save = save or (lambda array, path: Image.fromarray(array).save(path))
        save(label, folder / f'label/{number}.png')
    return folder


def checked(folder, evaluated, pipeline=None, classes=5, **kwargs):
    dataset = BaseSegDataset(
        data_root=str(folder),
        data_prefix=dict(img_path='image', seg_map_path='label'),
        metainfo=dict(classes=tuple('abcdefgh'[:classes])),
        pipeline=pipeline or PIPELINES[evaluated],
    )
    key = 'val_dataloader.dataset' if evaluated else 'train_dataloader.dataset'
    return CheckedDataset(dataset, evaluated=evaluated, key=key, **kwargs)


def gray_png(bits):
    """A PNG of gray with few bits, which neither Pillow nor OpenCV writes."""

    def save(array, path):
        height, width = array.shape
        every = np.unpackbits(array[..., None], axis=2)[..., 8 - bits :]
        rows = np.packbits(every.reshape(height, -1), axis=1)
        body = zlib.compress(b''.join(b'\0' + row.tobytes() for row in rows))
        head = struct.pack('>IIBBBBB', width, height, bits, 0, 0, 0, 0)
        with path.open('wb') as file:
            file.write(b'\x89PNG\r\n\x1a\n')
            for name, part in ((b'IHDR', head), (b'IDAT', body), (b'IEND', b'')):
                file.write(struct.pack('>I', len(part)) + name + part)
                file.write(struct.pack('>I', zlib.crc32(name + part)))

    return save


def palette(bits):
    def save(array, path):
        image = Image.fromarray(array).convert('P')
        image.putpalette([9, 9, 9, 80, 80, 80, 200, 1, 1, 0, 255, 0])
        image.save(path, bits=bits)

    return save


def tiff(kind, first=None):
    """A file with the suffix of a PNG; the decoders look at its content."""

    def save(array, path):
        array = array.astype(kind)
        array[0, 0] = array[0, 0] if first is None else first
        content = io.BytesIO()
        Image.fromarray(array).save(content, 'TIFF')
        path.write_bytes(content.getvalue())

    return save


def as_16_bits(factor):
    return lambda array, path: cv2.imwrite(str(path), array.astype(np.uint16) * factor)


def converted(mode):
    return lambda array, path: Image.fromarray(array).convert(mode).save(path)


WRONG = {
    '16 bits': (as_16_bits(256), '16-bit integers above 255'),
    '32 bits': (tiff(np.int32, 300), '32-bit integers above 255'),
    'negative': (tiff(np.int32, -1), '32-bit integers'),
    'float': (tiff(np.float32), 'floating-point numbers'),
    'RGB': (converted('RGB'), 'RGB colors'),
    'RGBA': (converted('RGBA'), 'RGBA colors'),
    'LA': (converted('LA'), 'gray with transparency'),
    '2-bit gray': (gray_png(2), '2-bit gray'),
    '4-bit gray': (gray_png(4), '4-bit gray'),
}


@pytest.mark.parametrize('evaluated', [False, True])
@pytest.mark.parametrize('case', WRONG)
def test_no_indices(tmp_path, case, evaluated):
    save, reason = WRONG[case]
    write(tmp_path, indices(0, 1, 2, 3), save=save)
    with pytest.raises(UserError, match=reason) as raised:
        checked(tmp_path, evaluated)[0]
    assert f"{tmp_path}/label/0.png' is not a label" in str(raised.value)
    assert '\n' not in str(raised.value)


@pytest.mark.parametrize('evaluated', [False, True])
@pytest.mark.parametrize(
    ('save', 'values'),
    [
        (None, [0, 1, 4, 255]),
        (palette(8), [0, 1, 3]),
        (palette(4), [0, 1, 3]),
        (gray_png(1), [0, 1]),
        (lambda array, path: Image.fromarray(array > 0).save(path), [0, 1]),
        (tiff(np.uint8), [0, 1, 4, 255]),
        (tiff(np.int32), [0, 1, 4, 255]),
        (as_16_bits(1), [0, 1, 4, 255]),
    ],
)
def test_indices(tmp_path, save, values, evaluated):
    """Reach the network as they are."""
    write(tmp_path, indices(*values), save=save)
    sample = checked(tmp_path, evaluated)[0]
    label = sample['data_samples'].gt_sem_seg.data
    assert set(label.unique().tolist()) <= set(values)
    if evaluated:
        assert np.array_equal(label[0].numpy(), indices(*values))


@pytest.mark.parametrize('save', [palette(8), gray_png(1)])
def test_indices_that_opencv_changes(tmp_path, save):
    write(tmp_path, indices(0, 1), save=save)
    label = dict(LABEL, imdecode_backend='cv2')
    with pytest.raises(UserError, match='is not a label'):
        checked(tmp_path, True, [LOAD, RESIZE, label, PACK])[0]


@TRANSFORMS.register_module()
class LoadColors(TRANSFORMS.get('LoadAnnotations')):
    """A user's own loader of 16-bit labels."""

    def _load_seg_map(self, results):
        label = cv2.imread(results['seg_map_path'], cv2.IMREAD_UNCHANGED)
        results['gt_seg_map'] = (label // 256).astype(np.uint8)
        results['seg_fields'].append('gt_seg_map')


@pytest.mark.parametrize('evaluated', [False, True])
def test_own_loader_may_read_what_it_likes(tmp_path, evaluated):
    write(tmp_path, indices(0, 1, 2), save=as_16_bits(256))
    pipeline = [
        dict(type='LoadColors') if step is LABEL else step
        for step in PIPELINES[evaluated]
    ]
    assert checked(tmp_path, evaluated, pipeline)[0]


@pytest.mark.parametrize('evaluated', [False, True])
@pytest.mark.parametrize(('value', 'ignore_index'), [(5, 255), (77, 255), (255, 7)])
def test_value_that_is_no_class(tmp_path, evaluated, value, ignore_index):
    write(tmp_path, indices(0, 4, value))
    data = checked(tmp_path, evaluated, ignore_index=ignore_index)
    with pytest.raises(UserError) as raised:
        data[0]
    error = str(raised.value)
    assert error.startswith(f"'{tmp_path}/label/0.png': label value {value}, but ")
    assert 'num_classes is 5' in error
    assert f'replace it by {ignore_index}' in error


def transposed(size):
    return indices(0, 1, size=size[::-1])


@pytest.mark.parametrize('evaluated', [False, True])
@pytest.mark.parametrize('turn', [False, True])
def test_transposed_label(tmp_path, evaluated, turn):
    """The label of a photo that OpenCV rotates (EXIF) must be rotated, too."""
    exif = Image.Exif()
    exif[0x0112] = 6 if turn else 1
    right, wrong = indices(0, 1), transposed(SIZE)
    if turn:
        right, wrong = wrong, right
    write(tmp_path, right, wrong, exif=exif)
    data = checked(tmp_path, evaluated)
    assert data[0]
    sizes = ('24x16', '16x24') if turn else ('16x24', '24x16')
    with pytest.raises(UserError) as raised:
        data[1]
    assert f"label/1.png' is {sizes[0]}, but its image '" in str(raised.value)
    assert f"image/1.jpg' is {sizes[1]};" in str(raised.value)
    assert ('EXIF' in str(raised.value)) == turn


def test_photo_that_the_pipeline_does_not_turn(tmp_path):
    """The pipeline decides, not the header."""
    exif = Image.Exif()
    exif[0x0112] = 6
    write(tmp_path, indices(0, 1), exif=exif)
    load = dict(LOAD, color_type='color_ignore_orientation')
    assert checked(tmp_path, True, [load, RESIZE, LABEL, PACK])[0]


@pytest.mark.parametrize(
    ('evaluated', 'pipeline', 'where'),
    [
        (True, [LOAD, LABEL, RESIZE, PACK], 'put LoadAnnotations after Resize'),
        (False, [LOAD, RESIZE, LABEL, PACK], 'put LoadAnnotations before Resize'),
    ],
)
def test_order_of_the_pipeline(tmp_path, evaluated, pipeline, where):
    write(tmp_path, indices(0, 1))
    data = checked(tmp_path, evaluated, pipeline)
    with pytest.raises(UserError, match=where) as raised:
        data[0]
    assert f'{data.key}.pipeline returns a label of ' in str(raised.value)


def test_built_dataset_ignores_what_the_metric_ignores(tmp_path):
    """As in the loops of a Runner."""
    write(tmp_path, indices(0, 1, 99))
    dataset = dict(
        type='BaseSegDataset',
        data_root=str(tmp_path),
        data_prefix=dict(img_path='image', seg_map_path='label'),
        metainfo=dict(classes=tuple('abcde')),
        pipeline=VAL,
    )
    config = Config(dict(test_dataloader=dict(dataset=dataset)))
    with pytest.raises(UserError, match='label value 99'):
        build_dataset(config)[0]
    config.test_evaluator = dict(type='IoUMetric', ignore_index=99)
    built = build_dataset(config)
    assert built[0]['data_samples'].gt_sem_seg.data.max() == 99
    assert built.ignore_index == 99


def test_test_time_augmentation(tmp_path):
    """Each of the data samples is checked."""
    flips = [dict(type='RandomFlip', prob=float(flip)) for flip in (0, 1)]
    tta = dict(type='TestTimeAug', transforms=[[RESIZE], flips, [LABEL], [PACK]])
    write(tmp_path, indices(0, 1), indices(0, 77))
    data = checked(tmp_path, True, [LOAD, tta])
    assert len(data[0]['data_samples']) == 2
    with pytest.raises(UserError, match='label value 77'):
        data[1]


class TestTwoClasses:
    @pytest.mark.parametrize('evaluated', [False, True])
    def test_black_and_white(self, tmp_path, evaluated):
        write(tmp_path, indices(0, 0), indices(0, 255), indices(255, 255))
        data = checked(tmp_path, evaluated, classes=2)
        assert data[0]
        for index in (1, 2):
            with pytest.raises(UserError, match='contain only 0 and 255') as raised:
                data[index]
            assert f"{data.key}: its labels, such as '" in str(raised.value)
            assert f"label/{index}.png'" in str(raised.value)
            assert 'replace 255 by 1' in str(raised.value)

    @pytest.mark.parametrize('evaluated', [False, True])
    def test_ignored_pixels(self, tmp_path, evaluated):
        """An image without class 1 is accepted if another one has it."""
        write(tmp_path, indices(0, 255), indices(0, 1, 255))
        data = checked(tmp_path, evaluated, classes=2)
        assert data[0]
        assert data.has_other_values
        assert data[1]

    def test_bitmap(self, tmp_path):
        """White in a bitmap is 1, as mmseg reads it."""
        write(tmp_path, indices(0, 1), save=gray_png(1))
        assert checked(tmp_path, False, classes=2)[0]


def test_classes_that_occurred(tmp_path):
    write(tmp_path, indices(0, 3), indices(3, 255))
    data = checked(tmp_path, True)
    assert data[0]
    assert data.seen.tolist() == [True, False, False, True, False, False]
    assert data[1]
    assert data.seen.tolist() == [True, False, False, True, False, True]
    assert isinstance(data.seen, torch.Tensor)
    assert data.seen.is_shared()


def part(folder, **kwargs):
    """A dataset within another one, as ``checked`` reads it."""
    return checked(folder, False, **kwargs).dataset


def test_joined_datasets_of_different_decoders(tmp_path):
    """Each label is checked as its own pipeline decodes it."""
    for name in 'ab':
        (tmp_path / name).mkdir()
    write(tmp_path / 'a', indices(0, 1), save=palette(8))
    write(tmp_path / 'b', indices(0, 1), indices(0, 1))
    palette(8)(indices(0, 1), tmp_path / 'b/label/1.png')
    by_opencv = dict(LABEL, imdecode_backend='cv2')
    parts = [
        part(tmp_path / 'a'),
        part(tmp_path / 'b', pipeline=[LOAD, by_opencv, CROP, PACK]),
    ]
    concat = dict(type=ConcatDataset, datasets=parts)
    joined = CheckedDataset(RepeatDataset(concat, 2))
    for index in (0, 1, 3, 4):
        assert joined[index]
    for index in (2, 5):
        with pytest.raises(UserError, match=r'b/label/1\.png.*colors of a palette'):
            joined[index]


def test_mosaic(tmp_path):
    """An image made of several is larger than its file."""
    write(tmp_path, indices(0, 1), transposed(SIZE))
    mosaic = dict(type='RandomMosaic', prob=1.0, img_scale=SIZE[::-1])
    parts = ConcatDataset([part(tmp_path, pipeline=[LOAD, LABEL])])
    joined = MultiImageMixDataset(parts, [mosaic, PACK])
    data = CheckedDataset(joined)
    assert data[0]['inputs'].shape[1:] == (32, 48)
    with pytest.raises(UserError, match=r"label/1\.png' is 16x24, but its image"):
        data[1]


class OwnNames(BaseSegDataset):
    """A user's dataset, with attributes of its own."""

    key = 'of a database'
    checked = None

    @property
    def classes(self):
        return self.metainfo['classes']


def test_attributes_of_the_dataset_stay(tmp_path):
    write(tmp_path, indices(0, 1))
    transform = Transform()
    own = OwnNames(
        data_root=str(tmp_path),
        data_prefix=dict(img_path='image', seg_map_path='label'),
        metainfo=dict(classes=('a', 'b')),
        pipeline=[LOAD, LABEL, transform, PACK],
    )
    transform.dataset = own  # whose samples it may mix
    data = CheckedDataset(own, classes=2, key='train_dataloader.dataset')
    assert data[0]
    assert (own.key, own.checked, own.ignore_index) == ('of a database', None, 255)
    assert data.classes == ('a', 'b')


class Transform:
    """A transform that refers to its dataset."""

    def __call__(self, results):
        return results
