"""The memory of a host that computes by itself: what the C library keeps, and what XLA holds at a time."""

import ctypes
import platform

# Parameters of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> bool:
    """Lets the process keep memory that it frees; returns whether the C library took the advice.

    XLA's CPU backend allocates its temporaries anew each step. By default glibc gives blocks of that
    size back to the system, which hands them out again page by page, zeroed, on one thread.
    """
    if (library := _glibc()) is None:
        return False
    return all(library.mallopt(*pair) for pair in ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1)))


def give_back_freed_memory() -> None:
    """Gives free pages back to the system once: compiling and preparing leave scattered ones that no step can use."""
    if (library := _glibc()) is not None:
        library.malloc_trim(0)


def one_program_at_a_time() -> None:
    """Has a CPU finish a program before the next is given to it; call it before JAX first touches a device.

    Otherwise a step gets its temporaries while those of the step before are still held, which doubles them. On
    cores that compute by themselves nothing is won by handing out work early.
    """
    import jax

    jax.config.update("jax_cpu_enable_async_dispatch", False)


def lean(mesh_size: int, platform: str) -> dict[str, str]:
    """Options with which XLA compiles a step for one CPU so that it holds less; none for all else.

    Operations are put in the order that holds least. And nothing is merged that is computed twice: a layer's slice of
    stacked weights and the keys that a block of queries sees would be kept from the forward to the backward pass, to
    save copying them again.
    """
    if platform != "cpu" or mesh_size > 1:
        return {}
    return {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED", "xla_disable_hlo_passes": "cse"}


def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
