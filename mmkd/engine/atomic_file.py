"""Files that are written whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmkd.errors import UserError


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file that replaces ``path`` once it is written.

    Raises:
        UserError: if it cannot be written; a file of that name stays as it was.
    """
    new = path.with_name(f'.{path.name}.new')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.unlink(missing_ok=True)  # a link, perhaps, which would be written through
        yield new
        with new.open('rb') as file:
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        raise UserError(
            f"work_dir: '{path}' cannot be written: {error.strerror}; earlier "
            'checkpoints are intact: fix the problem and rerun with --resume'
        ) from error
    finally:  # whatever went wrong
        with suppress(OSError):
            new.unlink()
