"""Freed memory stays with the process: the second use of a large block costs no page faults."""

import subprocess
import sys

import pytest

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
