"""The scheduled text of a program that is compiled, from the files that the compiler writes on the way.

`compiled.as_text()` is the same where it works. It does not for programs whose collectives the SparseCore does, as of
v5p: it fails on their instructions.
"""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

# The last has cycles too; a compiler that stops before generating code leaves only the first.
_STAGES = ("after_codegen", "after_optimizations")


def compiled_text(
    lowered: jax.stages.Lowered, options: Mapping[str, Any] | None = None
) -> tuple[jax.stages.Compiled, str]:
    """Compiles a program, and returns it with its scheduled HLO.

    Args:
      lowered: the program.
      options: of the compiler, besides.

    Raises what the compiler raises.
    """
    with tempfile.TemporaryDirectory() as directory:
        dumps = {"xla_dump_to": directory, "xla_dump_hlo_as_text": True}
        compiled = lowered.compile(compiler_options={**(options or {}), **dumps})
        path = _written(Path(directory))
        # Nothing is written of a program that comes out of the cache of compiled programs.
        return compiled, compiled.as_text() if path is None else path.read_text()


def _written(directory: Path) -> Path | None:
    """The text of the last stage; of several modules the largest, the others being constants that were folded."""
    for stage in _STAGES:
        found = [path for path in directory.iterdir() if re.search(rf"(?<!cpu_){stage}\.txt$", path.name)]
        if found:
            return max(found, key=lambda path: path.stat().st_size)
    return None
