"""Sections of the report: where time and memory went, and what there is to see layer by layer."""

import html
import re
from collections.abc import Mapping
from typing import Any

from experiments.report_chart import Along, Line, line_chart
from experiments.report_figures import size
from experiments.report_record import Points, Record
from experiments.samples import visible
from train.sight import duration

TIMES = {
    "steps": "steps that count", "data": "waiting for data", "compile": "compilation", "save": "saving",
    "evaluate": "evaluation", "other": "set-up and the rest", "redone": "steps done again", "down": "being down",
}  # fmt: skip
MEMORY = {"weights": "weights", "optimizer": "optimizer", "objective": "objective", "batch": "batch",
          "temporary": "gradients and temporaries"}  # fmt: skip
# What each family of metrics that is told layer by layer is called.
LAYERS = {
    "stream_rms": "Stream, RMS", "stream_max": "Stream, largest",
    "attention_rms": "Attention's output, RMS", "attention_max": "Attention's output, largest",
    "feedforward_rms": "Feed-forward output, RMS", "feedforward_max": "Feed-forward output, largest",
    "attention_entropy": "Attention entropy, nats", "attention_logit_max": "Largest attention logit",
    "router_max_load": "Largest load of an expert over the mean", "gradient_norm": "Gradient norm",
    "update_norm": "Update norm", "weight_norm": "Weight norm", "update_share": "Update over weight",
}  # fmt: skip


def text(value: Any) -> str:
    """A value as text of the page."""
    return html.escape(visible(str(value)))


def chart(name: str, about: str, svg: str, size: str = "small") -> str:
    """A figure with its caption; empty without a picture."""
    if not svg:
        return ""
    return f'<figure class="{size}"><figcaption>{name}<span>{about}</span></figcaption>{svg}</figure>'


def time_section(record: Record) -> str:
    """Where the time of all starts went, as one bar; empty for a run without a clock."""
    spent = {name: record.last(f"perf/seconds_{key}") or 0.0 for key, name in TIMES.items()}
    goodput = record.last("perf/goodput")
    if goodput is None or not (total := sum(spent.values())):
        return ""
    parts = {name: (seconds, f"{duration(seconds)}, {seconds / total:.1%}") for name, seconds in spent.items()}
    return _bar("Time", f"{duration(total)} in all; goodput {goodput:.1%}", parts)


def memory_section(record: Record) -> str:
    """What a device holds while it does a step, as one bar; empty where it is not known."""
    held = {name: record.last(f"perf/memory_{key}_bytes") or 0.0 for key, name in MEMORY.items()}
    if not (total := sum(held.values())):
        return ""
    parts = {name: (number, f"{size(number)}, {number / total:.1%}") for name, number in held.items()}
    return _bar("Memory", f"of a device in a step, as compiled; {size(total)} in all", parts)


def layer_section(record: Record) -> str:
    """Charts over the layers, at the first and the last step that there are figures of, and loss over positions."""
    charts = [_positions(record.series)]
    for family, name in LAYERS.items():
        first, last = _over_layers(record.series, family)
        charts.append(chart(name, "", _profiles(first, last, Along("layer"))))
    if not any(charts):
        return ""
    key = '<span class="key"><i class="raw"></i>first<i class="main"></i>last</span>'
    head = f"<h2>Inside <span>by layer and by position {key}</span></h2>"
    return f'<section>{head}<div class="charts">{"".join(charts)}</div></section>'


def _over_layers(series: Mapping[str, Points], family: str) -> tuple[Points, Points]:
    names = {int(found[1]): key for key in series if (found := re.fullmatch(rf"{family}/layer_(\d+)", key))}
    return tuple([(layer, series[names[layer]][at][1]) for layer in sorted(names)] for at in (0, -1))  # type: ignore[return-value]


def _positions(series: Mapping[str, Points]) -> str:
    names = {int(found[1]): key for key in series if (found := re.fullmatch(r"eval/position_(\d+)/loss", key))}
    first, last = (
        [(start.bit_length() - 1, series[names[start]][at][1]) for start in sorted(names)] for at in (0, -1)
    )
    power = Along("position", lambda exponent: f"{2 ** round(exponent):,}")
    return chart("Loss by position", "held out", _profiles(first, last, power))


def _profiles(first: Points, last: Points, along: Along) -> str:
    before = [Line(first, "raw")] if first != last else []
    return line_chart([*before, Line(last, "main", dots=True)], along=along) if len(last) > 1 else ""


def _bar(name: str, about: str, parts: Mapping[str, tuple[float, str]]) -> str:
    shown = {part: found for part, found in parts.items() if found[0] > 0}
    total = sum(value for value, _ in shown.values())
    numbers = {part: i for i, part in enumerate(parts)}
    bar = "".join(
        f'<div class="part{numbers[part]}" style="flex-grow:{value / total:.6f}" title="{text(part)}"></div>'
        for part, (value, _) in shown.items()
    )
    key = "".join(
        f'<li><i class="part{numbers[part]}"></i>{text(part)} <span>{text(told)}</span></li>'
        for part, (_, told) in shown.items()
    )
    return (
        f'<section><h2>{name} <span>{text(about)}</span></h2><div class="bar">{bar}</div>'
        f'<ul class="parts">{key}</ul></section>'
    )
