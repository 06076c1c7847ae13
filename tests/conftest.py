"""What every test runs under: eight CPU devices, quiet libraries, a cache of compiled programs."""

import hashlib
import os
import platform
import sys
import time
from pathlib import Path

import hypothesis
import pytest

if "jax" in sys.modules:
    raise pytest.UsageError("jax was imported before tests/conftest.py could set its devices")

os.environ["JAX_PLATFORMS"] = "cpu"
_DEVICES = "--xla_force_host_platform_device_count"
if _DEVICES not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_DEVICES}=8".strip()
# On a loaded machine a device may come late to a collective by more than XLA's 40 seconds, which end the process.
os.environ["XLA_FLAGS"] += " --xla_cpu_collective_call_terminate_timeout_seconds=300"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _machine() -> str:
    """Compiled programs are machine code: another processor must not run them."""
    info = Path("/proc/cpuinfo")
    text = info.read_text().split("\n\n")[0] if info.exists() else ""
    lines = [line for line in text.splitlines() if line.startswith(("model name", "flags"))]
    return hashlib.sha256("\n".join([platform.machine(), *lines]).encode()).hexdigest()[:12]


def _compilation_cache() -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "espalier" / "xla" / _machine()


# In the environment rather than in jax.config, so that the processes which tests start share it.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_compilation_cache()))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

# Only here: the run-time check of shapes imports jax as soon as a room is imported.
from data.console import quiet

quiet()

hypothesis.settings.register_profile(
    "espalier",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=30,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("espalier")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Forgets programs that were compiled more than two weeks ago."""
    if hasattr(session.config, "workerinput"):
        return
    oldest = time.time() - 14 * 24 * 3600
    for entry in _compilation_cache().glob("*-cache"):
        if entry.stat().st_mtime < oldest:
            entry.unlink(missing_ok=True)
