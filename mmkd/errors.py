"""Errors that a user can fix."""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(ValueError):
    """Invalid config, file or dataset.

    The message is one line that names the config key or file and the likely fix; the
    commands print it without a traceback.
    """

    def __str__(self) -> str:
        # A DataLoader puts its worker's whole traceback before the message.
        text = super().__str__().strip()
        if text.startswith('Caught '):
            text = text.rpartition(f'{type(self).__name__}: ')[2]
        return text


@contextmanager
def needs_openmmlab() -> Iterator[None]:
    """Name the missing extra if an import within this context fails."""
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f'mmkd needs the OpenMMLab stack for this ({error}): '
            "install it with pip install 'mmkd[onedl]' (or 'mmkd[openmmlab]')"
        ) from error


@contextmanager
def output_errors() -> Iterator[None]:
    """Name ``--out`` if a file within this context cannot be written."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"--out: '{error.filename}' cannot be written: {error.strerror}; choose "
            'another place'
        ) from error
