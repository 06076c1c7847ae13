"""A plan, or what a search found, as one self-contained page: no script, nothing fetched, all text escaped."""

import shlex
from collections.abc import Iterable, Mapping, Sequence

from experiments.planning.lines import collective_line, parts, verdict
from experiments.planning.record import Record, Request
from experiments.planning.search import Row
from experiments.planning.table import HEAD, cells, compared
from experiments.report_page import document
from experiments.report_sections import text

_GIB = 2**30
_STYLE = """
.bar { position: relative; background: var(--rule); }
.missing { color: #9c2b12; } .fits { color: var(--leaf); }
table.ranked td, table.ranked th { padding-right: 1rem; min-width: 0; overflow-wrap: normal; }
table.ranked th, table.ranked .number { white-space: nowrap; text-align: right; }
table.ranked th:last-child { text-align: left; }
table.ranked tr.best td { font-weight: 600; }
"""


def page(record: Record) -> str:
    """The page of one plan."""
    request, work = record.request, record.work
    mesh = " x ".join(f"{axis} {size}" for axis, size in work.mesh.items())
    state = "fits" if record.fits else "missing"
    body = [
        f'<header><p class="over">Espalier · plan</p><h1>{text(request.config)} on {text(request.topology)}</h1>',
        f'<p class="soft">{text(f"{request.topology.chips} chips, mesh {mesh}")}</p>',
        f'<p class="lead {state}">{text(verdict(record))}</p></header>',
        _figures(record),
        _memory(record),
        _time(record),
        _collectives(record),
        "<section><h2>Setting</h2>",
        _pairs({
            "rows in a step": f"{work.rows:,}", "tokens in a row": f"{work.sequence:,}",
            "micro-batches": work.accumulate, "weights": f"{work.weights:,}", "rematerialisation": work.remat or "none",
            **{f"compiler: {name}": str(value).lower() for name, value in record.options.items()},
        }),
        "".join(f'<p class="note">{text(note)}</p>' for note in record.notes),
        f"<h3>The command that runs it</h3><pre>{text(shlex.join(request.train_command()))}</pre></section>",
    ]  # fmt: skip
    return document(f"{request.config} on {request.topology}", body, _STYLE)


def search_page(rows: Sequence[Row], request: Request) -> str:
    """The page of a search."""
    best = rows[0] if rows and rows[0].fits else None
    head = "".join(f"<th>{text(name)}</th>" for name in HEAD)
    lines = "".join(
        f'<tr{" class=best" if row is best else ""}><td>{number}</td>'
        + "".join(f'<td class="number">{text(cell)}</td>' for cell in cells(row)[:-1])
        + f"<td><code>{text(cells(row)[-1])}</code></td></tr>"
        for number, row in enumerate(rows, 1)
    )
    body = [
        f'<header><p class="over">Espalier · search</p><h1>{text(request.config)} on {text(request.topology)}</h1>',
        f'<p class="lead">{len(rows)} ways to lay it out, ranked by simulated time a token; '
        "those that were only scheduled come after those that were compiled</p>",
        f'<p class="soft">{text(compared(rows))}</p></header>',
        f'<section><table class="ranked"><tr>{head}</tr>{lines}</table></section>',
    ]
    if best is not None:
        winner = Request(request.config, (*request.changes, *best.changes), request.topology)
        command = text(shlex.join(winner.train_command()))
        body.append(f"<section><h2>The command that runs the first</h2><pre>{command}</pre></section>")
    return document(f"{request.config} on {request.topology}: search", body, _STYLE)


def _figures(record: Record) -> str:
    speed, used = record.speed, record.estimate.peak if record.occupancy is None else record.occupancy.used
    usable = record.request.topology.usable_bytes
    tiles = [("Memory of a device", f"{used / _GIB:.2f} GiB", f"of {usable / _GIB:.2f}; by closed form "
              f"{record.estimate.peak / _GIB:.2f}")]  # fmt: skip
    if speed is not None:
        tiles += [
            ("Step", f"{speed.seconds:.3f} s", f"simulated; never below {speed.bound:.3f} s"),
            ("MFU", f"{speed.mfu:.1%}", f"at most {speed.mfu_bound:.1%}"),
            ("Tokens per second per chip", f"{speed.tokens_per_second_per_chip:,.0f}", ""),
            ("FLOPs over the model's", f"{speed.recomputed:.3f}", "what is computed again"),
        ]
    shown = "".join(
        f"<div><dt>{text(name)}</dt><dd>{text(value)}<small>{text(note)}</small></dd></div>"
        for name, value, note in tiles
    )
    return f'<dl class="figures">{shown}</dl>'


def _memory(record: Record) -> str:
    usable = record.request.topology.usable_bytes
    about = "as scheduled" if record.scheduled_only else "as compiled"
    about = about if record.occupancy is not None else "by closed form"
    held = {name: size for name, size in parts(record).items() if size}
    free = usable - sum(held.values())
    shown = {name: (size, f"{size / _GIB:.3f} GiB") for name, size in held.items()}
    if free > 0:
        shown["free"] = (free, f"{free / _GIB:.3f} GiB")
    return _bar("Memory", f"of a device, of {usable / _GIB:.2f} GiB; {about}", shown)


def _time(record: Record) -> str:
    if record.cost is None:
        return ""
    seconds = record.cost.seconds
    spent = {name: value for name, value in vars(seconds).items() if value > 0}
    total = seconds.total
    shown = {name.replace("_", " "): (value, f"{value:.4f} s, {value / total:.1%}") for name, value in spent.items()}
    return _bar("Time", f"of a step, simulated; {total:.4f} s", shown)


def _collectives(record: Record) -> str:
    if record.cost is None or not record.cost.collectives:
        return ""
    lines = "".join(f"<li>{text(collective_line(found))}</li>" for found in record.cost.collectives)
    notes = "".join(f'<p class="note">{text(warning)}</p>' for warning in record.cost.warnings)
    return f"<section><h2>Between devices <span>of a step</span></h2><ul>{lines}</ul>{notes}</section>"


def _bar(name: str, about: str, shown: Mapping[str, tuple[float, str]]) -> str:
    total = sum(value for value, _ in shown.values())
    colour = {part: "" if part == "free" else f"part{i % 8}" for i, part in enumerate(shown)}
    bar = "".join(
        f'<div class="{colour[part]}" style="flex-grow:{value / total:.6f}'
        f'{";background:none" if part == "free" else ""}" title="{text(part)}"></div>'
        for part, (value, _) in shown.items()
    )
    key = "".join(
        f'<li><i class="{colour[part]}"{" style=background:var(--rule)" if part == "free" else ""}></i>{text(part)} '
        f"<span>{text(told)}</span></li>"
        for part, (_, told) in shown.items()
    )
    return (
        f'<section><h2>{name} <span>{text(about)}</span></h2><div class="bar">{bar}</div>'
        f'<ul class="parts">{key}</ul></section>'
    )


def _pairs(pairs: Mapping[str, object]) -> str:
    rows: Iterable[str] = (f"<tr><td>{text(key)}</td><td>{text(value)}</td></tr>" for key, value in pairs.items())
    return f"<table>{''.join(rows)}</table>"
