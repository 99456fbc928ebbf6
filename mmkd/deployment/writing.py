"""Writing what is to be shipped."""

from pathlib import Path

from mmkd.errors import UserError


def write(path: Path, content: bytes | str) -> None:
    """Writes a file; makes its folder.

    Raises:
        UserError: if it cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise UserError(
            f"--out: '{path}' cannot be written: {error.strerror}; name another place"
        ) from error
