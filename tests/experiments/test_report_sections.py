"""Sections of the report: shares that add up, and charts over layers and positions."""

import re

import pytest

from experiments.report_record import Record
from experiments.report_sections import layer_section, memory_section, time_section


def record(**series: list[tuple[int, float]]) -> Record:
    named = {key.replace("__", "/"): points for key, points in series.items()}
    return Record("run", "runs/run", named, {}, "", {}, {}, "")


def test_time_is_a_bar_of_what_it_went_to() -> None:
    found = time_section(
        record(
            perf__goodput=[(5, 0.1), (10, 0.75)], perf__seconds_steps=[(5, 1.0), (10, 90.0)],
            perf__seconds_down=[(10, 30.0)], perf__seconds_save=[(10, 0.0)],
        )  # fmt: skip
    )
    assert "2 min in all; goodput 75.0%" in found
    assert "steps that count <span>2 min, 75.0%" in found and "being down <span>30 s, 25.0%" in found
    assert "saving" not in found
    shares = [float(share) for share in re.findall(r"flex-grow:([\d.]+)", found)]
    assert shares == pytest.approx([0.75, 0.25])
    assert time_section(record()) == ""


def test_memory_is_a_bar_of_who_holds_it() -> None:
    found = memory_section(record(perf__memory_weights_bytes=[(0, 2.0**30)], perf__memory_batch_bytes=[(0, 2.0**30)]))
    assert "2.00 GiB in all" in found and "weights <span>1.00 GiB, 50.0%" in found
    assert memory_section(record()) == ""


def test_layers_stand_side_by_side() -> None:
    layers = {f"stream_rms__layer_{n:02d}": [(10, 1.0 + n), (20, 2.0 + n)] for n in range(12)}
    found = layer_section(record(**layers))
    assert found.count("<svg") == 1 and "Stream, RMS" in found
    assert "<title>layer 11: 13</title>" in found and "<title>layer 0: 2</title>" in found
    assert layer_section(record(stream_rms__layer_00=[(1, 1.0)])) == "", "one layer makes no line"
    assert layer_section(record()) == ""


def test_positions_go_by_powers_of_two() -> None:
    at = {f"eval__position_{2**n:05d}__loss": [(10, 5.0 - n), (20, 4.0 - n / 2)] for n in range(4)}
    found = layer_section(record(**at))
    assert "Loss by position" in found
    assert "<title>position 8: 2.5</title>" in found and "<title>position 1: 4</title>" in found
