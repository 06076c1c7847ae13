"""The report of a run as one self-contained page: no script, nothing fetched, all text escaped."""

import ast
import contextlib
import html
import math
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from data.card import card_html
from data.card.html import TABLES
from experiments.report_chart import Level, Line, beginning, line_chart, smoothed
from experiments.report_figures import figures, summary
from experiments.report_record import Record, rows
from experiments.report_sections import chart, layer_section, memory_section, text, time_section
from experiments.report_style import STYLE

LOSS, GRADIENT, RATE, SPEED = "train/loss", "train/grad_norm", "train/learning_rate", "perf/tokens_per_second"
EVAL_LOSS, BITS, MFU = "eval/loss", "eval/bits_per_byte", "perf/mfu"
BASELINES = {"baseline/bz2_bits_per_byte": "bzip2 -9", "baseline/xz_bits_per_byte": "xz -9e"}
# Fewer points than this are read one by one; no average is drawn through them.
_FEW = 20


def page(record: Record, title: str = "", card_link: str = "") -> str:
    """The page.

    Args:
      record: the run.
      title: what to call it; its experiment's name if empty.
      card_link: name of the data card's own page beside this one, if there is one.
    """
    name = title or record.name
    date = str(record.environment.get("time", ""))
    body = [
        f'<header><p class="over">Espalier · training run</p><h1>{text(name)}</h1>',
        f'<p class="soft">{text(_date(date))}{" · " if date else ""}{text(record.directory)}</p>',
        f'<p class="lead">{text(summary(record))}</p></header>',
        _figures(record),
        _charts(record),
        time_section(record),
        memory_section(record),
        layer_section(record),
        _samples(record),
        "<section><h2>Setting</h2>",
        f"<h3>What was changed</h3><pre>{text(record.config_diff.strip())}</pre>" if record.config_diff else "",
        _folded("Config", "every value", _table(rows(record.config))),
        _card(record, card_link),
        _environment(record),
        "</section>",
    ]
    return document(f"{name}: training run", body)


def document(title: str, body: Iterable[str], style: str = "") -> str:
    """A whole page of these parts, with a style of its own besides that of all reports."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{STYLE}{TABLES}{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in body if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def _figures(record: Record) -> str:
    tiles = [
        f'<div{" class=wide" if figure.headline else ""}><dt>{text(figure.name)}</dt>'
        f"<dd>{text(figure.value)}{f'<small>{text(figure.note)}</small>' if figure.note else ''}</dd></div>"
        for figure in figures(record)
    ]
    return f'<dl class="figures">{"".join(tiles)}</dl>' if tiles else ""


def _charts(record: Record) -> str:
    series = record.series
    since = beginning(series.get(LOSS, []))
    loss = [point for point in series.get(LOSS, []) if point[0] >= since]
    lines, key = [Line(loss, "main", dots=True)], '<i class="main"></i>train'
    if len(loss) >= _FEW:
        lines = [Line(loss, "raw"), Line(smoothed(loss, max(len(loss) // 40, 3)))]
        key = '<i class="raw"></i>train<i class="main"></i>its moving mean'
    if EVAL_LOSS in series:
        lines.append(Line([point for point in series[EVAL_LOSS] if point[0] >= since], "eval", dots=True))
        key += '<i class="eval"></i>held out'
    if loss and loss[0] != series[LOSS][0]:
        key += f"; from step {since:,} on, down from {series[LOSS][0][1]:.4g}"
    levels = [Level(value, name) for metric, name in BASELINES.items() if (value := record.last(metric)) is not None]
    charts = [
        chart("Loss", f"nats a token{key}", line_chart(lines), "big"),
        chart(
            "Bits per byte",
            "of held-out text" + (", against general compressors" if levels else ""),
            line_chart([Line(series.get(BITS, []), "eval", dots=True)], levels),
            "big",
        ),
        chart("Throughput", "tokens a second", line_chart([_only(series.get(SPEED, []))])),
        chart("Learning rate", "", line_chart([_only(series.get(RATE, []))])),
        chart("Gradient norm", "", line_chart([_only(series.get(GRADIENT, []))])),
        chart("MFU", "share of the chips' peak", line_chart([_only(series.get(MFU, []))], show=_percent)),
    ]
    warnings = [_not_finite(metric, series[metric]) for metric in (LOSS, GRADIENT, EVAL_LOSS, BITS) if metric in series]
    if not any(charts):
        return "<section><h2>Course</h2><p>No metric was written yet.</p></section>"
    return (
        f'<section><h2>Course <span>over steps</span></h2>{"".join(warnings)}'
        f'<div class="charts">{"".join(charts)}</div></section>'
    )


def _only(points: list[tuple[int, float]]) -> Line:
    return Line(points, "main", dots=len(points) < _FEW)


def _not_finite(metric: str, points: list[tuple[int, float]]) -> str:
    bad = [(step, value) for step, value in points if not math.isfinite(value)]
    if not bad:
        return ""
    return (
        f'<p class="warning">{text(metric)} was not finite {len(bad)} of {len(points)} times, '
        f"first at step {bad[0][0]:,} ({bad[0][1]}); the curve has gaps there.</p>"
    )


def _samples(record: Record) -> str:
    if not record.samples.strip():
        return ""
    head, *samples = re.split(r"^(?=--- sample )", record.samples, flags=re.MULTILINE)
    blocks = "".join(map(_sample, samples))
    if not samples:
        return f"<section><h2>Samples</h2><pre>{text(head)}</pre></section>"
    notes = "".join(f'<p class="soft">{text(line)}</p>' for line in head.strip().splitlines())
    return f"<section><h2>Samples</h2>{notes}{blocks}</section>"


def _sample(sample: str) -> str:
    heading, _, body = sample.partition("\n")
    shown, prompt = text(body.rstrip("\n")), ""
    if found := re.search(r"prompt ('.*'|\".*\") ---$", heading):
        with contextlib.suppress(ValueError, SyntaxError):
            prompt = text(ast.literal_eval(found[1]))
    if prompt and shown.startswith(prompt):
        shown = f"<b>{prompt}</b>{shown.removeprefix(prompt)}"
    return f'<p class="sample">{text(heading.strip("- ").partition(", prompt")[0])}</p><pre>{shown}</pre>'


def _card(record: Record, link: str) -> str:
    if not record.card:
        return ""
    try:
        body = card_html(record.card).partition("<body>")[2].rpartition("</body>")[0]
        # In here it is a part, not a page.
        body = re.sub(r"<(/?)h[23]>", r"<\1h3>", re.sub(r"<h1>.*?</h1>", "", body))
    except (KeyError, TypeError, AttributeError):
        body = _table(rows(record.card))
    own = f'<p><a href="{html.escape(link, quote=True)}">The card as a page of its own</a></p>' if link else ""
    return _folded("Data card", "what it learnt from", own + body)


def _environment(record: Record) -> str:
    if not record.environment:
        return ""
    rest = {key: value for key, value in record.environment.items() if key != "command"}
    command = shlex.join(map(str, record.environment.get("command", ())))
    shown = f"<pre>{text(command)}</pre>" if command else ""
    return _folded("Environment", "command, versions, devices", shown + _table(rows(rest)))


def _folded(name: str, about: str, content: str) -> str:
    if not content:
        return ""
    return f"<details><summary>{name} <span>· {about}</span></summary><div>{content}</div></details>"


def _table(pairs: Iterable[tuple[str, Any]]) -> str:
    lines = [f"<tr><td><code>{text(key)}</code></td><td>{text(_plain(value))}</td></tr>" for key, value in pairs]
    return f"<table>{''.join(lines)}</table>" if lines else ""


def _plain(value: Any) -> Any:
    if value is None:
        return "none"
    if isinstance(value, str | Mapping | list) and not value:
        return "empty"
    return value


def _date(stamp: str) -> str:
    return re.sub(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d).*?([+-]\d\d)(\d\d)$", r"\1 \2 UTC\3:\4", stamp).replace("+00:00", "")


def _percent(value: float) -> str:
    return f"{100 * value:g}%"
