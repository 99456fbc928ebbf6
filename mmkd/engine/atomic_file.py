"""Atomic writing of files."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmkd.errors import UserError


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file that replaces ``path`` once it is complete.

    Raises:
        UserError: if the file cannot be written; an existing file stays unchanged.
    """
    new = path.with_name(f'.{path.name}.new')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.unlink(missing_ok=True)  # it may be a link, whose target would be written
        yield new
        with new.open('rb') as file:
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        raise UserError(
            f"work_dir: '{path}' cannot be written: {error.strerror}; earlier "
            'checkpoints are intact: fix the problem and rerun with --resume'
        ) from error
    finally:
        with suppress(OSError):
            new.unlink()
