"""Freed memory stays with the process until it is given back, and a program is finished before the next begins."""

import subprocess
import sys

import pytest

from sharding.host_memory import lean

PROBE = """
import resource, sys
import numpy as np
from sharding.host_memory import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "keep" else True
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(32 << 20, np.uint8)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(int(kept), faults)
"""


def faults(mode: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROBE, mode], capture_output=True, text=True, check=True)
    kept, count = done.stdout.split()
    if kept == "0":
        pytest.skip("this C library takes no such advice")
    return int(count)


def test_large_blocks_are_not_faulted_in_again() -> None:
    # With huge pages there are few faults to begin with, so the two are compared with each other.
    assert faults("keep") < faults("leave") / 10


GIVEN_BACK = """
import psutil
from sharding.host_memory import give_back_freed_memory, keep_freed_memory
kept = keep_freed_memory()
blocks = [bytes([1]) * (1 << 20) for _ in range(64)]
last = bytes(1 << 20)
del blocks
before = psutil.Process().memory_info().rss
give_back_freed_memory()
print(int(kept), before - psutil.Process().memory_info().rss)
"""


def test_free_pages_below_used_ones_are_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", GIVEN_BACK], capture_output=True, text=True, check=True)
    kept, returned = done.stdout.split()
    assert kept == "0" or int(returned) > 32 << 20


IN_TURN = """
import sys
import jax, jax.numpy as jnp
from sharding.host_memory import one_program_at_a_time
if sys.argv[1] == "in turn":
    one_program_at_a_time()
long = jax.jit(lambda x: jax.lax.fori_loop(0, 3000, lambda i, y: jnp.sin(y @ x), x))
print(int(long(jnp.ones((128, 128))).is_ready()))
"""


def test_a_program_is_done_when_the_call_returns() -> None:
    def ready(how: str) -> str:
        done = subprocess.run([sys.executable, "-c", IN_TURN, how], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert (ready("in turn"), ready("as it is")) == ("1", "0")


def test_options_are_for_a_single_cpu() -> None:
    assert lean(1, "cpu") and not lean(8, "cpu") and not lean(1, "tpu") and not lean(1, "gpu")
