"""Lock of a work_dir, which allows one training at a time."""

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmkd.errors import UserError

if sys.platform != 'win32':  # Windows: no locking
    import fcntl

NAME = 'lock'
_held: set[tuple[int, Path]] = set()  # by process ID, since forks hold no lock


@contextmanager
def locked(work_dir: str | Path) -> Iterator[None]:
    """Hold the lock of a folder, the file ``lock`` in it.

    The kernel releases the lock when the process ends, also if it is killed. It is a
    POSIX record lock: it belongs to the process and not to forks such as data loader
    workers, and all Runners of the process share it. File systems without locks are not
    locked.

    Raises:
        UserError: if another process holds the lock.
    """
    folder = Path(work_dir).resolve()
    if (os.getpid(), folder) in _held:
        yield
        return
    descriptor = os.open(folder / NAME, os.O_RDWR | os.O_CREAT)
    try:
        for _ in range(5):  # is_locked of another process may hold it for a moment
            if free := _lock(descriptor, exclusive=True):
                break
            time.sleep(0.05)
        if not free:
            raise UserError(
                f"work_dir: another process trains in '{work_dir}'; wait for it, end "
                f'it (fuser {folder / NAME} prints its process ID), or choose another '
                '--work-dir'
            )
        _held.add((os.getpid(), folder))
        yield
    finally:
        _held.discard((os.getpid(), folder))
        os.close(descriptor)


def is_locked(work_dir: str | Path) -> bool:
    """Return True if another process trains in a folder."""
    folder = Path(work_dir).resolve()
    if (os.getpid(), folder) in _held:  # closing the file would release the lock
        return False
    try:
        descriptor = os.open(folder / NAME, os.O_RDWR)
    except OSError:
        return False
    try:
        return not _lock(descriptor, exclusive=False)  # others may check it, too
    finally:
        os.close(descriptor)


def _lock(descriptor: int, exclusive: bool) -> bool:
    """Lock a file; return False if another process holds the lock."""
    if sys.platform == 'win32':
        return True
    try:
        kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        fcntl.lockf(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EAGAIN)
    return True
