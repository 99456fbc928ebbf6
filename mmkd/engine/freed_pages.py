"""Keeping freed memory in the process, for training on a CPU."""

import ctypes
import os
import sys

# Options of mallopt in glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_NEVER = -1
_LARGEST = 32 * 2**20  # largest M_MMAP_THRESHOLD that glibc accepts on 64 bits


def keep_freed_pages() -> bool:
    """Ask glibc to keep freed memory instead of returning it to the kernel.

    By default, each large tensor of a step gets new pages, which the kernel fills with
    zeros first. Blocks of up to 32 MiB are reused afterwards; the results of a training
    are bit-identical. Processes that are forked, such as data loader workers, inherit
    the setting.

    Returns:
        False if nothing was changed: without glibc, with another allocator, such as a
        preloaded jemalloc, or if an environment variable ``MALLOC_...`` or
        ``GLIBC_TUNABLES`` configures the allocator.
    """
    if any(name.startswith('MALLOC_') for name in os.environ):
        return False
    if 'glibc.malloc' in os.environ.get('GLIBC_TUNABLES', ''):
        return False
    if sys.platform != 'linux':
        return False
    try:
        glibc, used = ctypes.CDLL('libc.so.6'), ctypes.CDLL(None)
        own, malloc = (
            ctypes.cast(library.malloc, ctypes.c_void_p).value
            for library in (glibc, used)
        )
        if own != malloc:
            return False
        # mallopt returns 0 for an error.
        return bool(
            glibc.mallopt(_M_MMAP_THRESHOLD, _LARGEST)
            and glibc.mallopt(_M_TRIM_THRESHOLD, _NEVER)
        )
    except (AttributeError, OSError):  # another C library
        return False
