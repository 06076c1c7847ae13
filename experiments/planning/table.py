"""What a search found, as a table for people and as JSON."""

import json
import shlex
from collections.abc import Iterator, Sequence

from experiments.planning.record import SCHEMA, Request
from experiments.planning.search import Row

_GIB = 2**30
HEAD = ("", "step, s", "MFU", "tokens/s/chip", "GiB", "FLOPs/model", "changes")


def cells(row: Row) -> tuple[str, ...]:
    """A row's cells, less its number."""
    changes = " ".join(row.changes) or "none: as it is written"
    if not row.found:
        return ("-", "-", "-", "-", "-", f"{changes}: {row.why}")
    memory, speed = row.found["memory"], row.found["speed"]
    held = "-" if memory is None else f"{memory['used'] / _GIB:.2f}"
    if not row.fits or speed is None:
        missing = "" if memory is None or memory["margin"] >= 0 else f" by {-memory['margin'] / _GIB:.2f} GiB"
        return ("-", "-", "-", held, "-", f"{changes}: does not fit{missing}")
    about = "~" if row.scheduled_only else ""
    return (
        f"{about}{speed['seconds']:.4f}", f"{speed['mfu']:.1%}", f"{speed['tokens_per_second_per_chip']:,.0f}", held,
        f"{speed['recomputed']:.3f}", f"{changes}{': scheduled only' if row.scheduled_only else ''}",
    )  # fmt: skip


def compared(rows: Sequence[Row]) -> str:
    """A sentence on the first beside the config as it is written."""
    own = next((row for row in rows if not row.changes), None)
    if not rows or not rows[0].fits:
        return "none of them can be run"
    if own is None or not own.fits:
        return "the config as it is written does not fit; the first does"
    if own is rows[0]:
        return "none is faster than the config as it is written"
    ratio = rows[0].seconds_per_token / own.seconds_per_token
    return f"with the first, a token takes {ratio:.3f} times as long as with the config as it is written"


def ranked(rows: Sequence[Row], request: Request) -> Iterator[str]:
    """The table, and the command that runs the first."""
    lines = [HEAD, *((str(number), *cells(row)) for number, row in enumerate(rows, 1))]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD) - 1)]
    for first in lines:
        padded = (cell.rjust(width) for cell, width in zip(first, widths, strict=False))
        yield "  ".join([*padded, first[-1]])
    if rows and rows[0].fits:
        winner = Request(request.config, (*request.changes, *rows[0].changes), request.topology)
        yield ""
        yield compared(rows)
        yield shlex.join(winner.train_command())


def as_json(rows: Sequence[Row], request: Request) -> str:
    """The rows for programs, best first."""
    found = {
        "schema": SCHEMA,
        "config": request.config,
        "topology": {"name": request.topology.name, "slices": request.topology.slices},
        "rows": [{"changes": list(row.changes), "fits": row.fits, "why": row.why, "plan": row.found} for row in rows],
        "command": Request(request.config, (*request.changes, *rows[0].changes), request.topology).train_command()
        if rows and rows[0].fits
        else None,
    }
    return json.dumps(found, indent=1) + "\n"
