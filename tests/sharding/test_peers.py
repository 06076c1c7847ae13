"""How a process of a broken job ends; whole jobs are broken in tests/train/test_processes.py."""

import subprocess
import sys
from pathlib import Path

import jax
import pytest

from data import exits
from sharding.peers import lost

ROOT = Path(__file__).resolve().parents[2]

# What jaxlib 0.10 raised when the other of two processes was killed in an all-reduce.
RESET = "UNKNOWN: Gloo all-reduce failed: [external/gloo/gloo/transport/tcp/pair.cc:538] Read error " \
        "[127.0.0.1]:30433: Connection reset by peer"  # fmt: skip


def ended(code: str) -> subprocess.CompletedProcess[str]:
    whole = f"from sharding.peers import watch_for_abort\nwatch_for_abort()\n{code}"
    return subprocess.run([sys.executable, "-c", whole], cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.abort()",
        # As JAX does it: on a thread of C, while Python waits in another.
        "import ctypes, threading\n"
        "threading.Thread(target=ctypes.CDLL(None).abort, daemon=True).start()\n"
        "threading.Event().wait(60)",
    ],
)
def test_an_abort_becomes_a_status(code: str) -> None:
    done = ended(code)
    assert done.returncode == exits.PEER_LOST.status, done.stderr
    assert "peer lost; JAX ended this process" in done.stderr and "most recent call first" in done.stderr


def test_other_ends_stay_as_they_are() -> None:
    assert ended("raise SystemExit(3)").returncode == 3
    assert ended("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)").returncode == -11


def test_errors_that_a_dead_process_caused_are_told_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    error = jax.errors.JaxRuntimeError(RESET)
    assert lost(error) is None, "a process alone has nobody to lose"
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    way = lost(error)
    assert way is not None and way.way == exits.PEER_LOST and "Connection reset" in str(way)
    assert lost(jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")) is None
    assert lost(ValueError(RESET)) is None


@pytest.mark.parametrize(
    ("status", "waits"), [(1, False), (77, False), (0, True), (None, True), (75, True), (130, True)]
)
def test_one_that_fails_does_not_wait_for_the_others(status: int | None, waits: bool) -> None:
    code = f"""
import atexit, jax
from sharding.peers import leave
jax.distributed.is_initialized = lambda: True
atexit.register(print, "waited")
print("before")
leave({status})
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (status or 0, "before\nwaited\n" if waits else "before\n")
