"""Console behavior of the commands: quiet and fast imports, and one-line errors."""

import errno
import gc
import io
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from importlib.util import find_spec

from mmkd.errors import UserError

CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


def import_packages() -> None:
    """Import mmcv, mmseg and what they import, without the warnings that they print.

    Messages of a run are not affected. The imported objects are left out of Python's
    garbage collections; see :func:`lasting_objects`.
    """
    for module in ('mmcv', 'mmengine', 'mmseg', 'mmpretrain'):
        warnings.filterwarnings('ignore', module=rf'{module}(\.|$)')
    warnings.filterwarnings('ignore', category=DeprecationWarning)
    warnings.filterwarnings('ignore', category=FutureWarning)
    if find_spec('mmseg') is not None:
        # It prints failed imports.
        with redirect_stdout(io.StringIO()), lasting_objects():
            import_module('mmseg.datasets')


@contextmanager
def lasting_objects() -> Iterator[None]:
    """Create objects that last to the end of the process, such as modules.

    Python would otherwise examine the 400,000 objects of the packages for garbage again
    and again, which takes a quarter of the time of importing them, and also writes to
    their memory in worker processes, which is then copied.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Print a UserError as one line without a traceback, and exit with status 1.

    A lost connection to another process is also printed as one line. At the end the
    process group is destroyed, since its threads may abort the interpreter at exit.
    """
    from mmkd.engine import lost_process

    try:
        yield
    except UserError as error:
        sys.exit(f'error: {error}')
    except RuntimeError as error:
        if not (text := lost_process.explain(error)):
            raise
        print(f'error: {text}', file=sys.stderr)
        sys.exit(lost_process.STATUS)
    except OSError as error:
        if error.errno not in CANNOT_WRITE:
            raise
        what = f"'{error.filename}'" if error.filename else 'the work_dir'
        sys.exit(
            f'error: {what}: {error.strerror}; checkpoints are intact: free some space '
            'or choose another --work-dir, and rerun with --resume'
        )
    except SystemExit:  # raised after a signal in all processes
        _destroy_process_group()
        raise
    _destroy_process_group()


def _destroy_process_group() -> None:
    import torch

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
