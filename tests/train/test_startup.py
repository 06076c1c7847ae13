"""What is settled before JAX starts, seen in processes of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from train.startup import be_deterministic, compiled_directory, is_deterministic

ROOT = Path(__file__).resolve().parents[2]


def test_xla_takes_the_flags_of_determinism(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    assert not is_deterministic()
    be_deterministic()
    be_deterministic()
    flags = os.environ["XLA_FLAGS"].split()
    assert is_deterministic() and len(flags) == len(set(flags)) == 3
    # XLA ends a process whose flags it does not know.
    code = "import jax; print(len(jax.devices()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2"


def test_a_second_process_does_not_compile_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("JAX_COMPILATION", "JAX_PERSISTENT"))]:
        monkeypatch.delenv(name)
    code = (
        "import sys; from train.startup import keep_compiled; keep_compiled(sys.argv[1]); import jax\n"
        "jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)\n"
        "hits = []; jax.monitoring.register_event_listener(lambda event, **_: hits.append(event))\n"
        "jax.jit(lambda x: (x @ x).sum())(jax.numpy.ones((8, 8)))\n"
        "print('/jax/compilation_cache/cache_hits' in hits)"
    )

    def hits(where: str) -> bool:
        done = subprocess.run([sys.executable, "-c", code, where], cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.strip() == "True"

    assert not hits(str(tmp_path)) and hits(str(tmp_path)) and not hits("off")


def test_compiled_programs_lie_in_the_cache_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert compiled_directory().parent == Path("/somewhere/espalier/xla")
