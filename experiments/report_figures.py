"""The headline figures of a run, and a sentence that says the same."""

import dataclasses
import math
from typing import Any

from data.spec import build
from experiments.report_record import Record
from train.batch_growth import BatchGrowth

_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"))


@dataclasses.dataclass(frozen=True)
class Figure:
    """One figure: what it is, its value, what must be known to read it, and whether it is the main one."""

    name: str
    value: str
    note: str = ""
    headline: bool = False


def figures(record: Record) -> list[Figure]:
    """The figures that are known, the main one first."""
    bits, loss, train = (record.last(key) for key in ("eval/bits_per_byte", "eval/loss", "train/loss"))
    found = []
    if bits is not None:
        found.append(Figure("Bits per byte, held out", decimals(bits), _against(record), headline=True))
    if loss is not None:
        note = f"perplexity {math.exp(loss):,.4g}" if loss < 700 else ""
        best, at = min(((value, step) for step, value in record.series["eval/loss"]), default=(loss, 0))
        if best < loss:
            note += f"; lowest {decimals(best)} at step {at:,}"
        found.append(Figure("Loss, held out", decimals(loss), note))
    if train is not None:
        found.append(Figure("Loss, training", decimals(train), f"nats a token, step {record.step:,}"))
    speed, step_seconds = record.typical("perf/tokens_per_second"), record.typical("perf/step_seconds")
    if speed is not None:
        note = f"median; {_seconds(step_seconds)} a step" if step_seconds else "median"
        found.append(Figure("Tokens a second", f"{speed:,.0f}", note))
    if (mfu := record.typical("perf/mfu")) is not None:
        found.append(Figure("MFU", f"{100 * mfu:.1f}%", "share of the chips' peak, median"))
    if (compiling := record.last("perf/compile_seconds")) is not None:
        found.append(Figure("Compilation", _seconds(compiling)))
    if (memory := record.last("perf/peak_memory_bytes")) is not None:
        cpu = "(cpu)" in str(record.environment.get("devices", ""))
        found.append(Figure("Peak memory", size(memory), "of the process" if cpu else "of a device"))
    if (energy := record.last("perf/energy_kwh")) is not None:
        share, carbon = record.last("perf/energy_measured") or 0.0, record.last("perf/co2_kg") or 0.0
        said = "by rated power" if not share else "measured" if share == 1 else f"{share:.0%} of it measured"
        note = f"{_thousandths(carbon, 'kg', 'g')} of CO2-equivalent; {said}"
        found.append(Figure("Energy", _thousandths(energy, "kWh", "Wh"), note))
    if (weights := record.weights()) is not None:
        found.append(Figure("Weights", count(weights), f"{weights:,}" if weights >= 1e6 else ""))
    if (seen := tokens(record)) is not None:
        passes = _passes(record, seen)
        found.append(Figure("Tokens seen", count(seen), passes))
    return found


def summary(record: Record) -> str:
    """What was run and what came of it, in one or two sentences."""
    steps, weights, seen = record.setting("steps"), record.weights(), tokens(record)
    what = f"A model of {count(weights)} weights" if weights is not None else "A model"
    done = f"{record.step:,} of {steps:,} steps" if isinstance(steps, int) else f"{record.step:,} steps"
    where = ", ".join(map(_device, record.environment.get("devices", ()))) or "devices unknown"
    said = f"{what} after {done}" + (f" and {count(seen)} tokens" if seen is not None else "") + f", on {where}."
    bits = record.last("eval/bits_per_byte")
    if bits is None and (loss := record.last("eval/loss")) is not None:
        return f"{said} On held-out text its loss is {decimals(loss)} nats a token of those that it predicts."
    if bits is None:
        return said + " It was not evaluated on held-out text."
    others = _baselines(record)
    if not math.isfinite(bits) or not others:
        return f"{said} On held-out text it needs {decimals(bits)} bits a byte."
    best = min(others, key=lambda name: others[name])
    share = bits / others[best] - 1
    verdict = f"{abs(share):.0%} {'more' if share > 0 else 'less'} than {best}"
    return f"{said} On held-out text it needs {decimals(bits)} bits a byte, {verdict}."


def tokens(record: Record) -> int | None:
    """Tokens trained on so far; None if the config does not say."""
    sequence, rows = record.setting("batch.sequence"), record.setting("batch.batch")
    if not isinstance(sequence, int) or not isinstance(rows, int):
        return None
    try:
        growth = build(record.setting("batch.growth") or {"type": "Steady"}, BatchGrowth)
    except ValueError:
        return None
    return sequence * rows * growth.units(record.step)


def decimals(value: float) -> str:
    """A loss, to four decimals."""
    return f"{value:.4f}"


def count(number: float) -> str:
    """A count, short where it is large: 804,096, 124.4 M."""
    for unit, name in _UNITS:
        if number >= unit:
            return f"{number / unit:.4g} {name.replace('G', 'B')}"
    return f"{number:,.0f}"


def size(number: float) -> str:
    """A number of bytes: 1.25 GiB."""
    for power, unit in ((30, "GiB"), (20, "MiB")):
        if number >= 2**power:
            return f"{number / 2**power:.2f} {unit}"
    return f"{number:,.0f} bytes"


def _baselines(record: Record) -> dict[str, float]:
    names = {"bzip2 -9": "baseline/bz2_bits_per_byte", "xz -9e": "baseline/xz_bits_per_byte"}
    return {name: value for name, key in names.items() if (value := record.last(key)) is not None}


def _against(record: Record) -> str:
    return ", ".join(f"{name} {decimals(value)}" for name, value in _baselines(record).items())


def _device(described: Any) -> str:
    """`1 x cpu (cpu)` says one thing twice."""
    kind, _, platform = str(described).rpartition(" (")
    return kind if kind.endswith(f" {platform.rstrip(')')}") else str(described)


def _passes(record: Record, seen: int) -> str:
    try:
        return f"{seen / record.card['splits']['train']['tokens']:.3g} passes over the data"
    except (KeyError, TypeError, ZeroDivisionError):
        return ""


def _thousandths(value: float, unit: str, small: str) -> str:
    """A value in its unit, or below 1 in the unit of a thousandth of it."""
    return f"{value:,.3g} {unit}" if value >= 1 else f"{1000 * value:.3g} {small}"


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 1 else f"{1000 * value:.3g} ms"
