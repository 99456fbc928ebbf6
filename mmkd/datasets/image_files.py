"""Check of image files: readable, complete, size."""

from pathlib import Path

from PIL import Image

from mmkd.errors import UserError

# How whole files end, but for bytes that some cameras append.
ENDS = {'JPEG': b'\xff\xd9', 'PNG': b'IEND\xaeB`\x82'}


class CorruptFileError(UserError):
    """An image file that is truncated or damaged."""


def image_size(path: str, decode: bool = False) -> tuple[int, int] | None:
    """Return width and height of an image; None if only its loader can tell.

    Reads the header and the end, which takes about 0.1 ms: OpenCV may fill what is
    missing of a truncated JPEG with gray, silently.

    Args:
        path: The file. None is the answer if it is not there or lies elsewhere, or if
            Pillow does not know its suffix.
        decode: Whether to decode the whole image.

    Raises:
        CorruptFileError: naming the file.
    """
    file = Path(path)
    if file.suffix.lower() not in Image.registered_extensions() or not file.is_file():
        return None
    try:
        with Image.open(file) as image:
            if decode or not _ends_well(file, image.format):
                image.load()
            return image.size
    except Image.DecompressionBombError:  # large, but OpenCV may take it
        return None
    except (OSError, SyntaxError, ValueError) as error:
        reason = 'it is empty' if not file.stat().st_size else 'truncated or damaged'
        raise CorruptFileError(
            f"'{path}' cannot be read: {reason}; fetch it again, or leave such files "
            'out of the training with --cfg-options skip_corrupt=True'
        ) from error


def _ends_well(file: Path, kind: str | None) -> bool:
    """Return True if a file ends as files of its kind do."""
    end = ENDS.get(kind, b'')
    with file.open('rb') as content:
        content.seek(max(file.stat().st_size - len(end), 0))
        return content.read() == end if end else True
