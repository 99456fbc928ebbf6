"""Check of image files: readable, complete, size."""

from pathlib import Path

from PIL import Image

from mmkd.errors import UserError

# How whole files end, but for bytes that some cameras append.
ENDS = {'JPEG': b'\xff\xd9', 'PNG': b'IEND\xaeB`\x82'}
ORIENTATION = 0x0112  # of EXIF; from 5 on, width and height are exchanged


class CorruptFileError(UserError):
    """An image file that is truncated or damaged."""


def is_image(path: str) -> bool:
    """Return True for a local file that Pillow may know, by its suffix."""
    file = Path(path)
    return file.suffix.lower() in Image.registered_extensions() and file.is_file()


def check_complete(path: str) -> None:
    """Raise a CorruptFileError for a truncated JPEG or PNG.

    OpenCV may fill what is missing with gray, silently. Reads the header and the end,
    which takes about 0.1 ms. Everything else is left to the loader of the pipeline.
    """
    if not is_image(path):
        return
    try:
        with Image.open(path) as image:
            kind = image.format
    except Exception:  # the loader may know better
        return
    if not _ends_well(Path(path), kind):
        check_decodable(path)


def check_decodable(path: str) -> None:
    """Raise a CorruptFileError if Pillow cannot decode a whole image.

    No error if it is not there or lies elsewhere, or if Pillow does not know its
    suffix.
    """
    if not is_image(path):
        return
    try:
        with Image.open(path) as image:
            image.load()
    except Image.DecompressionBombError:  # large, but OpenCV may take it
        return
    except (OSError, SyntaxError, ValueError) as error:
        empty = not Path(path).stat().st_size
        reason = 'it is empty' if empty else 'truncated or damaged'
        raise CorruptFileError(
            f"'{path}' cannot be read: {reason}; fetch it again, or leave such files "
            'out of the training with --cfg-options skip_corrupt=True'
        ) from error


def image_size(path: str, upright: bool = False) -> tuple[int, int] | None:
    """Return width and height of an image, of its header; None if it has none.

    Args:
        path: The file.
        upright: After turning it as its EXIF orientation says.
    """
    if not is_image(path):
        return None
    try:
        with Image.open(path) as image:
            turned = upright and image.getexif().get(ORIENTATION, 1) >= 5
            return image.size[::-1] if turned else image.size
    except Exception:
        return None


def _ends_well(file: Path, kind: str | None) -> bool:
    """Return True if a file ends as files of its kind do."""
    end = ENDS.get(kind, b'')
    with file.open('rb') as content:
        content.seek(max(file.stat().st_size - len(end), 0))
        return content.read() == end if end else True
