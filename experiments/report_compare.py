"""One page that puts runs side by side: their curves, their final figures, and how their configs differ."""

import os
from collections.abc import Sequence
from typing import Any

from experiments.report_chart import Line, beginning, line_chart, smoothed
from experiments.report_figures import figures
from experiments.report_page import document
from experiments.report_record import Record, rows
from experiments.report_sections import chart, text
from experiments.report_style import COLOURS
from train.sight import told_apart

MOST = len(COLOURS)
_CHARTS = (
    ("Loss, held out", "nats a token", "eval/loss", "big"),
    ("Loss, training", "nats a token, moving mean", "train/loss", "big"),
    ("Bits per byte", "of held-out text", "eval/bits_per_byte", "small"),
    ("Throughput", "tokens a second", "perf/tokens_per_second", "small"),
    ("Learning rate", "", "train/learning_rate", "small"),
    ("Gradient norm", "", "train/grad_norm", "small"),
    ("MFU", "share of the chips' peak", "perf/mfu", "small"),
    ("Goodput", "share of all time", "perf/goodput", "small"),
)
# Training curves of more points than this are drawn smoothed.
_FEW = 40
_MISSING = "-"


def comparison(records: Sequence[Record], title: str = "") -> str:
    """The page. Raises ValueError for fewer than two runs, or more than there are colours."""
    if not 2 <= len(records) <= MOST:
        raise ValueError(f"{len(records)} runs are to be compared; it is 2 to {MOST}")
    names = told_apart([os.path.abspath(r.directory) if "://" not in r.directory else r.directory for r in records])
    name = title or " and ".join([", ".join(names[:-1]), names[-1]])
    body = [
        f'<header><p class="over">Espalier · comparison of runs</p><h1>{text(name)}</h1>{_key(names)}</header>',
        _charts(records),
        _figures(records, names),
        _differences(records, names),
    ]
    return document(f"{name}: comparison", body, _style())


def differing(records: Sequence[Record]) -> list[tuple[str, list[str]]]:
    """The keys of the configs in which the runs differ, and the value of each run; `-` where it has no such key.

    Of hooks only their types count: what they do changes nothing of what is learnt.
    """
    flat = [dict(rows(record.config | {"hooks": _hooks(record)})) for record in records]
    keys = list(dict.fromkeys(key for config in flat for key in config))
    found = [(key, [_shown(config[key]) if key in config else _MISSING for config in flat]) for key in keys]
    return [(key, values) for key, values in found if len(set(values)) > 1]


def _hooks(record: Record) -> str:
    hooks = record.config.get("hooks") or ()
    return ", ".join(str(hook.get("type", "?")) for hook in hooks if isinstance(hook, dict)) or "none"


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)


def _charts(records: Sequence[Record]) -> str:
    drawn = []
    for name, about, metric, size in _CHARTS:
        series = [record.series.get(metric, []) for record in records]
        if metric == "train/loss":
            series = [smoothed(points, len(points) // 40) if len(points) > _FEW else points for points in series]
        cut = [first for points in series if points and (first := beginning(points)) > points[0][0]]
        since = max(cut, default=0) if size == "big" else 0
        lines = [
            Line([point for point in points if point[0] >= since], f"run{i}", dots=len(points) <= 20)
            for i, points in enumerate(series)
        ]
        about += f"; from step {since:,} on" if any(p and p[0][0] < since for p in series) else ""
        drawn.append(chart(name, about, line_chart(lines), size))
    if not any(drawn):
        return "<section><h2>Course</h2><p>No metric was written yet.</p></section>"
    return f'<section><h2>Course <span>over steps</span></h2><div class="charts">{"".join(drawn)}</div></section>'


def _figures(records: Sequence[Record], names: Sequence[str]) -> str:
    of_runs = [{figure.name: figure for figure in figures(record)} for record in records]
    kinds = list(dict.fromkeys(kind for found in of_runs for kind in found))
    table = []
    for kind in kinds:
        cells = []
        for found in of_runs:
            figure = found.get(kind)
            note = f"<small>{text(figure.note)}</small>" if figure and figure.note else ""
            cells.append(f'<td>{text(figure.value) if figure else _MISSING}{note}</td>')
        table.append(f"<tr><th>{text(kind)}</th>{''.join(cells)}</tr>")
    done = "".join(f"<td>{record.step:,} of {record.setting('steps') or '?'}</td>" for record in records)
    return _table("Figures", "at the last step", names, [f"<tr><th>Steps</th>{done}</tr>", *table])


def _differences(records: Sequence[Record], names: Sequence[str]) -> str:
    found = differing(records)
    if not found:
        return "<section><h2>Configs</h2><p>They are the same.</p></section>"
    lines = [
        f"<tr><th><code>{text(key)}</code></th>{''.join(f'<td>{text(value)}</td>' for value in values)}</tr>"
        for key, values in found
    ]
    return _table("Configs", "where they differ", names, lines)


def _table(title: str, about: str, names: Sequence[str], lines: Sequence[str]) -> str:
    head = "".join(f'<th><i class="run{i}"></i>{text(name)}</th>' for i, name in enumerate(names))
    return (
        f'<section><h2>{title} <span>{about}</span></h2><div class="wide-table"><table class="compared">'
        f"<tr><td></td>{head}</tr>{''.join(lines)}</table></div></section>"
    )


def _key(names: Sequence[str]) -> str:
    return '<p class="key">' + "".join(f'<i class="run{i}"></i>{text(name)} ' for i, name in enumerate(names)) + "</p>"


def _style() -> str:
    runs = "".join(
        f"svg path.run{i} {{ stroke: {colour}; }} svg circle.run{i} {{ fill: {colour}; }} "
        f"i.run{i} {{ color: {colour}; }}\n"
        for i, colour in enumerate(COLOURS)
    )
    return (
        ".key i, .compared i { display: inline-block; width: 1.3em; border-top: 3px solid; margin: 0 .4em .25em 0; }\n"
        ".key i + i, .key i:not(:first-child) { margin-left: 1.2em; }\n"
        ".wide-table { overflow-x: auto; }\n"
        "table.compared { width: 100%; } .compared th, .compared td { padding-right: 1.4rem; }\n"
        ".compared td { font-variant-numeric: tabular-nums; } .compared small { display: block; color: var(--soft); }\n"
    ) + runs
