"""Checks of label files, which must contain one class index per pixel."""

from collections.abc import Iterable
from typing import Any

from mmcv.transforms import LoadAnnotations as MMCVLoadAnnotations
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image

from mmkd.datasets.image_files import image_size, is_image
from mmkd.errors import UserError

# Pillow modes in which a decoder returns the stored indices. OpenCV replaces palette
# indices by colors and the 1 of a bitmap by 255.
INDICES: dict[str | None, tuple[str, ...]] = {
    'pillow': ('1', 'L', 'P'),
    'tifffile': ('1', 'L', 'P'),
}
OPENCV_INDICES = ('L',)
FORMATS = {
    '1': 'a bitmap',
    'P': 'colors of a palette',
    'LA': 'gray with transparency',
    'PA': 'colors of a palette with transparency',
    'I': '32-bit integers above 255',
    'F': 'floating-point numbers',
}


def parts_of(node: object) -> list[Any]:
    """Return a dataset, its nested datasets and the transforms of their pipelines."""
    found, left = {}, [node]
    while left:
        node = left.pop(0)
        if isinstance(node, list | tuple):
            left[:0] = node
        elif node is not None and id(node) not in found:  # references may be circular
            found[id(node)] = node
            names = ('dataset', 'datasets', 'pipeline', 'transforms', 'subroutines')
            left[:0] = [getattr(node, name, None) for name in names]
    return list(found.values())


def part_of(dataset: Any, index: int) -> Any:
    """Return the dataset inside MMEngine's wrappers that contains a sample."""
    while hasattr(dataset, '_get_ori_dataset_idx'):
        place = dataset._get_ori_dataset_idx(index)
        if isinstance(place, tuple):  # the wrapper joins several datasets
            number, index = place
            dataset = dataset.datasets[number]
        else:
            dataset, index = dataset.dataset, place
    return dataset


def decoders(dataset: object, index: int) -> set[str | None]:
    """Return the decoders with which mmseg's loaders read a sample's label.

    Empty if the pipeline also has other loaders, as a user's own transform may convert
    any file to class indices.
    """
    parts = parts_of(part_of(dataset, index))
    loaders = [part for part in parts if isinstance(part, MMCVLoadAnnotations)]
    own = (
        LoadAnnotations._load_seg_map is not getattr(type(x), '_load_seg_map', None)
        for x in loaders
    )
    return set() if any(own) else {loader.imdecode_backend for loader in loaders}


def check_format(path: str, backends: Iterable[str | None]) -> None:
    """Raise a UserError unless the values of a label can be 8-bit class indices.

    mmseg keeps only the lowest 8 bits of decoded values. The header suffices, which
    takes about 0.1 ms; only integers of more than 8 bits are decoded.

    Args:
        path: Label file.
        backends: Names of the decoders that read it; if empty, nothing is checked.
    """
    if not is_image(path):
        return
    try:
        with Image.open(path) as image:
            mode, stored = image.mode, str(image.tile[0][3]) if image.tile else ''
            if mode.startswith('I'):
                low, high = image.getextrema()
                if 0 <= low <= high <= 255:
                    return
    except Exception:  # the pipeline's loader may support it
        return
    for backend in backends:
        allowed = INDICES.get(backend, OPENCV_INDICES)
        few = next((bits for bits in '24' if f'L;{bits}' in stored), None)
        if mode in allowed and not few:
            continue
        what = FORMATS.get(mode, f'{mode} colors')
        if mode.startswith('I;16'):
            what = '16-bit integers above 255, of which only 8 bits would be kept'
        elif few:
            what = f'{few}-bit gray, which decoders stretch to 0..255'
        raise UserError(
            f"'{path}' is not a label: it contains {what}, but a label is one class "
            'index per pixel; save it as an 8-bit gray (or, with imdecode_backend='
            "'pillow', palette) PNG of indices, or load it with a transform of your own"
        )


def is_black_and_white(path: str) -> bool:
    """Return True if a label contains no values other than 0 and 255."""
    try:
        with Image.open(path) as image:
            values = {value for value, count in enumerate(image.histogram()) if count}
            return image.mode in ('L', 'P') and values <= {0, 255}
    except Exception:
        return False


def check_same_size(
    image: str = '', label: str = '', shape: tuple[int, ...] | None = None
) -> None:
    """Raise a UserError unless an image and its label have the same size.

    Args:
        image: Image file.
        label: Label file, which no decoder rotates.
        shape: Height and width of the decoded image. Default: those after rotation by
            the EXIF orientation. Sizes that differ because the pipeline has combined or
            resized images are ignored.
    """
    label_size = image_size(label)
    either = (image_size(image, upright=True), image_size(image))
    size = (shape[1], shape[0]) if shape else either[0]
    if size not in either:
        size = label_size if label_size in either else either[0]
    if size is None or label_size is None or size == label_size:
        return
    turned = size != image_size(image) and label_size == size[::-1]
    why = (
        'the image is rotated by its EXIF orientation, but the label is not: rotate '
        'the label, too'
        if turned
        else 'both must have the same size: is the label transposed, or from another '
        'version of the dataset?'
    )
    ours, theirs = ('x'.join(map(str, pair)) for pair in (size, label_size))
    raise UserError(f"'{label}' is {theirs}, but its image '{image}' is {ours}; {why}")
