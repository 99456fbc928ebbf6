"""Errors that a user can fix."""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(ValueError):
    """Error caused by an invalid config, file or dataset.

    The message is one line that names the config key or file and the likely fix; the
    command-line tools print it without a traceback.
    """

    def __str__(self) -> str:
        # A DataLoader prepends the traceback of its worker process.
        text = super().__str__().strip()
        if text.startswith('Caught '):
            text = text.rpartition(f'{type(self).__name__}: ')[2]
        return text


@contextmanager
def needs_openmmlab() -> Iterator[None]:
    """Tell the user which extra to install if an import within this context fails."""
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f'this part of mmkd needs the OpenMMLab stack ({error}): '
            "install it with pip install 'mmkd[onedl]' (or 'mmkd[openmmlab]')"
        ) from error


@contextmanager
def output_errors() -> Iterator[None]:
    """Raise a UserError for ``--out`` if a file in this context cannot be written."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"--out: '{error.filename}' cannot be written: {error.strerror}; choose "
            'another path'
        ) from error
