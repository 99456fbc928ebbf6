"""Check of label files: one class index per pixel, as the pipeline reads them."""

from collections.abc import Iterable

from mmcv.transforms import LoadAnnotations as MMCVLoadAnnotations
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image

from mmkd.datasets.image_files import image_size, is_image
from mmkd.errors import UserError

# Modes of Pillow's whose values are the indices that a decoder returns. OpenCV
# replaces palette indices by colors and the 1 of a bitmap by 255.
INDICES = {'pillow': ('1', 'L', 'P'), 'tifffile': ('1', 'L', 'P')}
OPENCV_INDICES = ('L',)
FORMATS = {
    '1': 'a bitmap',
    'P': 'colors of a palette',
    'LA': 'gray with transparency',
    'PA': 'colors of a palette with transparency',
    'I': '32-bit integers above 255',
    'F': 'floating-point numbers',
}


def parts_of(node: object) -> list[object]:
    """Return a dataset, those within it and the transforms of their pipelines."""
    found, left = {}, [node]
    while left:
        node = left.pop(0)
        if isinstance(node, list | tuple):
            left[:0] = node
        elif node is not None and id(node) not in found:  # they may refer to each other
            found[id(node)] = node
            names = ('dataset', 'datasets', 'pipeline', 'transforms', 'subroutines')
            left[:0] = [getattr(node, name, None) for name in names]
    return list(found.values())


def part_of(dataset: object, index: int) -> object:
    """Return the dataset from which a sample of MMEngine's wrappers comes."""
    while hasattr(dataset, '_get_ori_dataset_idx'):
        place = dataset._get_ori_dataset_idx(index)
        if isinstance(place, tuple):  # of several
            number, index = place
            dataset = dataset.datasets[number]
        else:
            dataset, index = dataset.dataset, place
    return dataset


def decoders(dataset: object, index: int) -> set[str | None]:
    """Return mmseg's decoders of a sample's label; {} if others read labels, too.

    A user's own transform may turn any file into class indices.
    """
    parts = parts_of(part_of(dataset, index))
    loaders = [part for part in parts if isinstance(part, MMCVLoadAnnotations)]
    own = (
        LoadAnnotations._load_seg_map is not getattr(type(x), '_load_seg_map', None)
        for x in loaders
    )
    return set() if any(own) else {loader.imdecode_backend for loader in loaders}


def check_format(path: str, backends: Iterable[str | None]) -> None:
    """Raise a UserError unless a label's values can be class indices of 8 bits.

    mmseg keeps the lowest 8 bits of whatever a decoder returns. The header decides,
    in about 0.1 ms; only integers of more than 8 bits are decoded.

    Args:
        path: The label's file.
        backends: Names of the decoders that read it; nothing is checked without any.
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
    except Exception:  # the loader may know better
        return
    for backend in backends:
        allowed = INDICES.get(backend, OPENCV_INDICES)
        few = next((bits for bits in '24' if f'L;{bits}' in stored), None)
        if mode in allowed and not few:
            continue
        what = FORMATS.get(mode, f'{mode} colors')
        if mode.startswith('I;16'):
            what = '16-bit integers above 255, of which 8 bits would be kept'
        elif few:
            what = f'{few}-bit gray, which decoders stretch to 0..255'
        raise UserError(
            f"'{path}' is no label: it holds {what}, but a label is one class index "
            'per pixel; save it as an 8-bit gray (or, with imdecode_backend='
            "'pillow', palette) PNG of indices, or load it with a transform of your own"
        )


def is_black_and_white(path: str) -> bool:
    """Return True for a label whose values are 0 and 255, without any other."""
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
        image: The image's file.
        label: The label's file, which no decoder turns.
        shape: Height and width of the image as the pipeline has decoded it, turned
            by its EXIF orientation or not; by default it is turned. A pipeline may
            have made another size of it or of several images, which says nothing.
    """
    theirs = image_size(label)
    either = (image_size(image, upright=True), image_size(image))
    ours = (shape[1], shape[0]) if shape else either[0]
    if ours not in either:
        ours = theirs if theirs in either else either[0]
    if None in (ours, theirs) or ours == theirs:
        return
    turned = ours != image_size(image) and theirs == ours[::-1]
    why = (
        'the image is turned by its EXIF orientation, the label is not: turn the '
        'label, too'
        if turned
        else 'labels are pixel by pixel: is the label transposed, or of another '
        'version of the dataset?'
    )
    ours, theirs = ('x'.join(map(str, size)) for size in (ours, theirs))
    raise UserError(f"'{label}' is {theirs}, but its image '{image}' is {ours}; {why}")
