"""The errors a user can mend."""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(ValueError):
    """Something in a config, file or data set is not as it should be.

    The message is one line that names the config key or file and the likely mend; the
    tools print it without a traceback.
    """

    def __str__(self) -> str:
        # A DataLoader puts its worker's whole traceback before the message.
        return super().__str__().strip().rpartition(f'{type(self).__name__}: ')[2]


@contextmanager
def needs_openmmlab() -> Iterator[None]:
    """Has an import that fails say which extra is missing."""
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f'mmkd needs the OpenMMLab stack for this ({error}): '
            "install it with pip install 'mmkd[onedl]' (or 'mmkd[openmmlab]')"
        ) from error
