"""A TPU program as far as its schedule: memory and order of operations are settled then, in seconds.

Writing machine code takes most of a compilation. Only cycles come of it, and errors of kernels that find no room.
"""

import re
import shutil
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

# What the compiler calls the files that it writes between its last pass and code generation, the last of them last.
_TEXT, _BUFFERS, _LAST = (
    "after_optimizations.txt", "after_optimizations-buffer-assignment.txt",
    "after_optimizations_after_buffer_assignment.txt",
)  # fmt: skip
_ALLOCATION = re.compile(r"^allocation \d+: size (\d+),(.*)$", re.MULTILINE)
_SECONDS_BETWEEN_LOOKS = 0.1


class Scheduled(NamedTuple):
    """A program of which no machine code was written.

    Attributes:
      text: its scheduled HLO, without cycles.
      peak: bytes of a device's memory that were planned, with what the program is given.
    """

    text: str
    peak: int


def scheduled(lowered: jax.stages.Lowered, options: Mapping[str, Any] | None = None) -> Scheduled:
    """The schedule of a program that is lowered for TPUs.

    The compiler does not stop: it goes on in a thread that nobody waits for, and takes the machine's cores. Do this in
    a process of its own, and end that with `os._exit`.

    Args:
      lowered: the program.
      options: of the compiler, besides.

    Raises what the compiler raises.
    """
    directory, ended, errors = Path(tempfile.mkdtemp()), threading.Event(), []
    dumps = {"xla_dump_to": str(directory), "xla_dump_hlo_as_text": True}
    # Another program, of constants that are folded, may come first.
    name = str(lowered.compiler_ir().operation.attributes["sym_name"]).strip('"')

    def compile() -> None:
        try:
            lowered.compile(compiler_options={**(options or {}), **dumps})
        except Exception as error:  # noqa: BLE001 - it is the caller's, in another thread
            errors.append(error)
        ended.set()

    threading.Thread(target=compile, daemon=True).start()
    try:
        while True:
            over = ended.wait(_SECONDS_BETWEEN_LOOKS)
            if (found := _read(directory, name)) is not None:
                return found
            if errors:
                raise errors[0]
            if over:
                raise RuntimeError(f"the compiler left no schedule of {name} in its files; is it one for TPUs?")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _read(directory: Path, name: str) -> Scheduled | None:
    """None until the files are there."""
    last = next(directory.glob(f"module_*.{name}.*{_LAST}"), None)
    if last is None:
        return None
    before = last.name.removesuffix(_LAST)
    text, buffers = ((directory / (before + end)).read_text() for end in (_TEXT, _BUFFERS))
    return Scheduled(text, planned_bytes(buffers))


def planned_bytes(assignment: str) -> int:
    """Bytes of a device's main memory, of the text of a buffer assignment.

    Those of other memories have a colour. What is local to a thread belongs to functions that are fused into their
    callers, and takes no room.
    """
    found = _ALLOCATION.findall(assignment)
    return sum(int(size) for size, about in found if "color" not in about and "thread-local" not in about)
