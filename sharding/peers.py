"""What happens to a process when another of its job dies: it ends too, soon, and says why.

JAX's coordination service hears the heartbeats of all processes. When one falls silent, or the process that hosts
the service is gone, JAX aborts the others. Here that abort becomes an exit status of its own, and errors of
collectives that a dead process caused are told from the process's own.
"""

import ctypes
import faulthandler
import os
import signal
import sys
from typing import NoReturn

import jax

from data import exits

_HELD: list[object] = []


def watch_for_abort() -> None:
    """Turns the abort by which JAX ends a process of a broken job into the exit status `PEER_LOST`.

    JAX takes no Python function to call instead (jaxlib cannot hand its status over), so the signal is caught.
    Python's own handlers run too late for it: they wait for the interpreter, and `abort` does not.
    """

    def ended(number: int) -> None:
        # The traceback tells an abort for another reason.
        faulthandler.dump_traceback(sys.__stderr__)
        print(f"{exits.PEER_LOST.name}; JAX ended this process, as it does when another of the job is gone",
              file=sys.__stderr__, flush=True)  # fmt: skip
        os._exit(exits.PEER_LOST.status)

    handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(ended)
    # What C calls must not be collected.
    _HELD.append(handler)
    library = ctypes.CDLL(None)
    library.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
    library.signal.restype = ctypes.c_void_p
    library.signal(signal.SIGABRT, ctypes.cast(handler, ctypes.c_void_p))


def lost(error: Exception) -> exits.Ended | None:
    """The end that an error of a collective stands for, if another process caused it; None for any other error."""
    text = " ".join(str(error).split())
    if not isinstance(error, jax.errors.JaxRuntimeError) or jax.process_count() == 1:
        return None
    # Sockets between CPU processes; accelerators say nothing and wait, until the coordination service ends them.
    if "Gloo" in text and any(sign in text for sign in ("closed by peer", "reset by peer", "Broken pipe")):
        return exits.Ended(exits.PEER_LOST, f"another process of the job is gone ({text[:200]})")
    return None


def leave(status: int | None) -> NoReturn:
    """Ends this process; None is 0, as in `SystemExit`.

    One of several that fails does not wait for the others, as JAX would: they wait for it.
    """
    status = status or exits.DONE.status
    orderly = (exits.DONE, exits.PREEMPTED, exits.INTERRUPTED)
    if jax.distributed.is_initialized() and status not in [way.status for way in orderly]:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    raise SystemExit(status)
