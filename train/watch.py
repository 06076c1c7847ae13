"""Shows a running or finished run in a terminal: `python -m train.watch DIR...`; several are put side by side.

Only files are read, also while they are written. It refreshes until all runs have ended.
"""

import math
import shutil
import sys
import time
from collections.abc import Sequence

from absl import flags

from data import console

console.quiet()

from train.sight import Points, Sight, Sighted, duration, told_apart

_BARS = "▁▂▃▄▅▆▇█"
_ENDED = ("finished", "interrupted", "preempted", "failed", "dead")
# Where the cursor goes before a refresh, and what is erased after it.
_HOME, _ERASE_LINE, _ERASE_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"


def screen(sights: Sequence[Sight], width: int) -> str:
    """What is shown: a panel for one run, a table for several."""
    lines = panel(sights[0], width) if len(sights) == 1 else table(sights, width)
    return "\n".join(line[:width].rstrip() for line in lines)


def panel(sight: Sight, width: int) -> list[str]:
    """One run: progress, loss, rate, evaluations, where the time goes, incidents."""
    rows: list[tuple[str, str]] = []
    room = max(width - 40, 10)
    if (points := sight.series.get("train/loss")) is not None:
        rows.append(("loss", f"{points[-1][1]:.4f}  {sparkline(points, room)}"))
    if (rate := sight.typical("perf/tokens_per_second")) is not None:
        step, mfu = sight.typical("perf/step_seconds"), sight.typical("perf/mfu")
        parts = [f"{rate:,.0f} tokens/s"] + ([f"{_step(step)} a step"] if step else [])
        rows.append(("rate", ", ".join(parts + ([f"{mfu:.1%} MFU"] if mfu is not None else []))))
    for at, loss in sight.series.get("eval/loss", [])[-3:]:
        bits = dict(sight.series.get("eval/bits_per_byte", ())).get(at)
        rows.append(("held out", f"step {at:,}: {loss:.4f}" + (f", {bits:.4f} bits a byte" if bits else "")))
    if (goodput := sight.goodput) is not None:
        spent = sorted(sight.clock["seconds"].items(), key=lambda item: -item[1])
        shares = ", ".join(f"{purpose} {duration(seconds)}" for purpose, seconds in spent if seconds >= 0.05)
        rows.append(("time", f"goodput {goodput:.0%}: {shares}"))
    rows += [("incident", incident) for incident in sight.incidents]
    # The end of a long path says more than its beginning, and the state has to be seen.
    place = max(width - len(sight.state) - 2, 10)
    path = sight.path if len(sight.path) <= place else f"...{sight.path[3 - place :]}"
    head = f"{path}  {sight.state}"
    return [head, progress(sight, width), *(f"{name:<9} {text}" for name, text in rows)]


def progress(sight: Sight, width: int) -> str:
    """A bar of the steps done, and the time left."""
    left = sight.seconds_left
    said = f" {sight.step:,} of {sight.steps:,} steps" if sight.steps else f" {sight.step:,} steps"
    said += f", {duration(left)} left" if left is not None else ""
    room = max(width - len(said) - 2, 4)
    full = round(room * min(sight.step / sight.steps, 1)) if sight.steps else 0
    return f"[{'#' * full}{'.' * (room - full)}]{said}"


def table(sights: Sequence[Sight], width: int) -> list[str]:
    """Several runs, one a line, under their names without what all have in front."""
    names = told_apart([sight.path for sight in sights])
    head = ("run", "state", "step", "loss", "held out", "bits/byte", "tokens/s", "left", "goodput")
    rows = [head, *((name, *_cells(sight)) for name, sight in zip(names, sights, strict=True))]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    room = max(width - sum(widths) - 2 * len(widths), 0)
    lines = []
    for row, sight in zip(rows, [None, *sights], strict=True):
        cells = [cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))]
        drawn = sparkline(sight.series.get("train/loss", []), room) if sight and room >= 8 else ""
        lines.append("  ".join([*cells, drawn]))
    incidents = [
        f"{name}: {incident}" for name, s in zip(names, sights, strict=True) for incident in s.incidents
    ]
    return lines + ([""] + incidents if incidents else [])


def sparkline(points: Points, width: int) -> str:
    """The mean of each stretch of steps as a bar between the lowest and the highest; `x` where it is not finite."""
    if not points or width < 1:
        return ""
    count = min(width, len(points))
    stretches = [points[len(points) * i // count : len(points) * (i + 1) // count] for i in range(count)]
    means = [sum(value for _, value in stretch) / len(stretch) for stretch in stretches]
    finite = [mean for mean in means if math.isfinite(mean)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((mean - low) * scale)] if math.isfinite(mean) else "x" for mean in means)


def _cells(sight: Sight) -> tuple[str, ...]:
    def shown(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    left = sight.seconds_left
    return (
        sight.state,
        f"{sight.step:,}" + (f" ({sight.step / sight.steps:.0%})" if sight.steps else ""),
        shown(sight.last("train/loss"), ".4f"),
        shown(sight.last("eval/loss"), ".4f"),
        shown(sight.last("eval/bits_per_byte"), ".4f"),
        shown(sight.typical("perf/tokens_per_second"), ",.0f"),
        "-" if left is None else duration(left),
        shown(sight.goodput, ".0%"),
    )


def _step(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def main(argv: list[str]) -> None:
    """Looks until all runs have ended, or once."""
    runs = [Sighted(path) for path in argv[1:]]
    live = sys.stdout.isatty() and not _ONCE.value
    if live:
        print(f"\x1b[2J{_HOME}", end="")
    while True:
        sights = [run.look() for run in runs]
        shown = screen(sights, shutil.get_terminal_size((100, 24)).columns)
        if not live:
            print(shown)
            return
        lines = "\n".join(f"{line}{_ERASE_LINE}" for line in shown.split("\n"))
        print(f"{_HOME}{lines}\n{_ERASE_BELOW}", end="", flush=True)
        if all(sight.state in _ENDED for sight in sights):
            return
        time.sleep(_EVERY.value)


if __name__ == "__main__":
    _ONCE = flags.DEFINE_bool("once", False, "print once and leave, as it does where there is no terminal")
    _EVERY = flags.DEFINE_float("every", 2.0, "seconds between refreshes", lower_bound=0.1)
    console.run(main, positionals=("DIR...",))
