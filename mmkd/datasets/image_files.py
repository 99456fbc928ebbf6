"""Checks of image files: completeness, decodability and size."""

from pathlib import Path

from PIL import Image

from mmkd.errors import UserError

# Last bytes of complete files; some cameras append further bytes.
ENDS: dict[str | None, bytes] = {'JPEG': b'\xff\xd9', 'PNG': b'IEND\xaeB`\x82'}
ORIENTATION = 0x0112  # EXIF tag; values from 5 on exchange width and height


class CorruptFileError(UserError):
    """Error for an image file that is truncated or damaged."""


def is_image(path: str) -> bool:
    """Return True for a local file whose suffix Pillow supports."""
    file = Path(path)
    return file.suffix.lower() in Image.registered_extensions() and file.is_file()


def check_complete(path: str) -> None:
    """Raise a CorruptFileError for a truncated JPEG or PNG.

    OpenCV may silently fill the missing part with gray. Reads the header and the last
    bytes, which takes about 0.1 ms. Other problems are left to the pipeline's loader.
    """
    if not is_image(path):
        return
    try:
        with Image.open(path) as image:
            kind = image.format
    except Exception:  # the pipeline's loader may support it
        return
    if not _ends_well(Path(path), kind):
        check_decodable(path)


def check_decodable(path: str) -> None:
    """Raise a CorruptFileError if Pillow cannot decode the complete image.

    Missing or remote files and files with a suffix unknown to Pillow are not checked.
    """
    if not is_image(path):
        return
    try:
        with Image.open(path) as image:
            image.load()
    except Image.DecompressionBombError:  # too large for Pillow, maybe not for OpenCV
        return
    except (OSError, SyntaxError, ValueError) as error:
        empty = not Path(path).stat().st_size
        reason = 'it is empty' if empty else 'truncated or damaged'
        raise CorruptFileError(
            f"'{path}' cannot be read: {reason}; download it again, or skip such files "
            'in training with --cfg-options skip_corrupt=True'
        ) from error


def image_size(path: str, upright: bool = False) -> tuple[int, int] | None:
    """Return width and height from the header of an image; None if unreadable.

    Args:
        path: The file.
        upright: Apply the rotation given by the EXIF orientation. Default False.
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
    """Return True if a file ends with the last bytes of its format."""
    end = ENDS.get(kind, b'')
    with file.open('rb') as content:
        content.seek(max(file.stat().st_size - len(end), 0))
        return content.read() == end if end else True
