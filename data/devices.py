"""What JAX's backends are told before they look for devices."""

import os
import re
from pathlib import Path

# libtpu, on a machine without a TPU, looks for one over the network and complains about what it
# does not find. These answer its questions; compiling for a named topology ignores them.
_NO_TPU = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}
_SIMULATED = re.compile(r"--xla_force_host_platform_device_count=(\d+)")
# Scheduled for concurrency, CPUs begin collectives that do not depend on each other in different orders, and each waits
# in its own (docs/notebook.md, 2026-11-27).
_IN_ORDER = "--xla_cpu_enable_concurrency_optimized_scheduler"


def settings() -> dict[str, str]:
    """Environment variables that suit this machine and the devices asked for in XLA_FLAGS; for the time before JAX."""
    found = {} if _tpu_attached() else dict(_NO_TPU)
    if (devices := simulated()) > 1:
        # XLA gives its CPU backend as many threads as there are devices or cores. A device that waits in a collective
        # holds one, and one that multiplies waits for others to take a share: with all of them held, none goes on.
        found["PJRT_NPROC"] = str(max(4 * devices, os.cpu_count() or 1))
    return found


def begin_collectives_in_order() -> None:
    """Has CPU devices, of this process and of others, begin collectives in one order; for the time before a device.

    What XLA_FLAGS says of it already is left alone.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if _IN_ORDER not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {_IN_ORDER}=false".strip()


def simulated() -> int:
    """The devices that XLA_FLAGS makes of this machine's CPU; 1 if it says nothing."""
    counts = _SIMULATED.findall(os.environ.get("XLA_FLAGS", ""))
    return int(counts[-1]) if counts else 1


def accelerated() -> bool:
    """Whether JAX would find an accelerator, by the machine's device files: whoever asks JAX itself holds it."""
    if os.environ.get("JAX_PLATFORMS", "") == "cpu":
        return False
    return gpu_attached() or _tpu_attached()


def gpu_attached() -> bool:
    """Whether this machine holds a GPU of NVIDIA's."""
    return any(Path("/dev").glob("nvidia[0-9]*"))


def _tpu_attached() -> bool:
    """Whether this machine may hold a TPU: its device files, or a person who says so."""
    if any(name in os.environ for name in ("JAX_FORCE_TPU_INIT", "TPU_NAME")):
        return True
    device_files = ("accel[0-9]*", "accel/*", "vfio/[0-9]*")
    return any(any(Path("/dev").glob(pattern)) for pattern in device_files)
