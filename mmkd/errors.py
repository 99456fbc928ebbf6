"""The errors a user can mend."""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(ValueError):
    """Something in a config, file or data set is not as it should be.

    The message is one line that names the config key or file and the likely mend; the
    tools print it without a traceback.
    """


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
