"""The C library's memory on a host that computes by itself."""

import ctypes
import platform

# Parameters of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> bool:
    """Lets the process keep memory that it frees; returns whether the C library took the advice.

    XLA's CPU backend allocates its temporaries anew each step. By default glibc gives blocks of that
    size back to the system, which hands them out again page by page, zeroed, on one thread.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    return all(library.mallopt(*pair) for pair in ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1)))
