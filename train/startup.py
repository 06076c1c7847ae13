"""What has to be settled before JAX first touches a device: compiled programs that are kept, and determinism."""

import hashlib
import os
import platform
import time
from pathlib import Path

# Given by XLA (debug_options): `deterministic_ops` keeps every operation the same from run to run and turns
# auto-tuning off, which chooses kernels by how fast they happened to be.
_DETERMINISTIC = ("--xla_gpu_deterministic_ops=true", "--xla_gpu_exclude_nondeterministic_ops=true")
_CACHE = "JAX_COMPILATION_CACHE_DIR"
_DAYS = 30


def keep_compiled(where: str = "") -> None:
    """Keeps compiled programs on disk, so that a restart need not compile them again.

    Args:
      where: a directory, local or gs://; `off` for none; empty for JAX_COMPILATION_CACHE_DIR, or a directory of
        this machine's kind in the user's cache, where what was compiled a month ago is forgotten.
    """
    import jax

    if where == "off":
        jax.config.update("jax_enable_compilation_cache", False)
        return
    if not where and not os.environ.get(_CACHE):
        where = os.fspath(compiled_directory())
        _forget(Path(where))
    if where:
        jax.config.update("jax_compilation_cache_dir", where)
    for name, value in (("min_compile_time_secs", 0.2), ("min_entry_size_bytes", -1)):
        if f"JAX_PERSISTENT_CACHE_{name}".upper() not in os.environ:
            jax.config.update(f"jax_persistent_cache_{name}", value)


def compiled_directory() -> Path:
    """Where this machine keeps compiled programs: they are machine code, which another processor must not run."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    info = Path("/proc/cpuinfo")
    text = info.read_text().split("\n\n")[0] if info.exists() else platform.processor()
    lines = [line for line in text.splitlines() if line.startswith(("model name", "flags"))] or [text]
    kind = hashlib.sha256("\n".join([platform.machine(), *lines]).encode()).hexdigest()[:12]
    return root / "espalier" / "xla" / kind


def be_deterministic() -> None:
    """Makes XLA give the same bits from run to run on a GPU; must precede any use of devices.

    On CPUs and TPUs there is nothing to set. It does not cover: another number or kind of devices, another version
    of XLA or of its libraries, another batch split, and the order in which NCCL adds between GPUs that are cabled
    otherwise.
    """
    present = os.environ.get("XLA_FLAGS", "").split()
    os.environ["XLA_FLAGS"] = " ".join([*present, *(flag for flag in _DETERMINISTIC if flag not in present)])


def is_deterministic() -> bool:
    """Whether `be_deterministic` was called, or the same flags were given."""
    return _DETERMINISTIC[0] in os.environ.get("XLA_FLAGS", "").split()


def _forget(directory: Path) -> None:
    oldest = time.time() - _DAYS * 24 * 3600
    for entry in directory.glob("*-cache"):
        try:
            if entry.stat().st_mtime < oldest:
                entry.unlink()
        except OSError:
            continue
