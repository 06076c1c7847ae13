"""Joules by counters that wrap around, by a command that tells watts, and by rated power."""

from pathlib import Path

import pytest

from sharding.power import NvidiaSmi, Rapl, Rated, gpu_meter, processor_meter

RANGE = 1_000_000


class Hands:
    """A clock that stands still until it is told."""

    time = 50.0

    def __call__(self) -> float:
        return self.time


def zone(root: Path, name: str, kind: str, energy: int) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{kind}\n")
    (folder / "max_energy_range_uj").write_text(f"{RANGE}\n")
    (folder / "energy_uj").write_text(f"{energy}\n")
    return folder


def test_counters_are_added_up_through_their_wrapping_around(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", 900_000)
    memory = zone(tmp_path, "intel-rapl:0:1", "dram", 10)
    zone(tmp_path, "intel-rapl:0:0", "core", 5)
    zone(tmp_path, "intel-rapl:1", "psys", 7)
    meter = processor_meter(20.0, tmp_path)
    assert isinstance(meter, Rapl) and meter.measured and "package-0, dram" in meter.name
    assert meter.joules() == 0
    (memory / "energy_uj").write_text("250010")
    assert meter.joules() == pytest.approx(0.25)
    for energy in (200_000, 999_999, 0):  # over the end, up to it, and over it again
        (package / "energy_uj").write_text(str(energy))
        last = meter.joules()
    # 300,000 to 200,000 through the end; 799,999 up; 1 over the end.
    assert last == pytest.approx(0.25 + 0.3 + 0.799999 + 0.000001)


def test_what_cannot_be_read_is_rated(tmp_path: Path) -> None:
    assert isinstance(processor_meter(20.0, tmp_path), Rated)
    (zone(tmp_path, "intel-rapl:0", "package-0", 1) / "energy_uj").unlink()
    meter = processor_meter(20.0, tmp_path)
    assert isinstance(meter, Rated) and not meter.measured and meter.name == "processors at 20 W"
    hands = Hands()
    meter = Rated("a chip", 192.0, hands)
    hands.time += 10
    assert meter.joules() == 1920


def test_gpus_are_read_by_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command, watts = tmp_path / "nvidia-smi", tmp_path / "watts"
    command.write_text(f"#!/bin/sh\ncat {watts}\n")
    command.chmod(0o755)
    watts.write_text("0, GPU-aa, 100.00\n1, GPU-bb, 300.00\n")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    hands = Hands()
    both = NvidiaSmi(str(command), hands)
    hands.time += 10
    watts.write_text("0, GPU-aa, 200.00\n1, GPU-bb, 400.00\n")
    assert both.joules() == pytest.approx(10 * (400 + 600) / 2)
    hands.time += 1
    assert both.joules() == pytest.approx(5000 + 600)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    one = NvidiaSmi(str(command), hands)
    hands.time += 2
    assert one.joules() == pytest.approx(800)


def test_a_command_that_tells_no_power_is_no_meter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_meter() is None
    command = tmp_path / "nvidia-smi"
    command.write_text("#!/bin/sh\necho 0, GPU-aa, [N/A]\n")
    command.chmod(0o755)
    assert gpu_meter() is None
    command.write_text("#!/bin/sh\nexit 9\n")
    assert gpu_meter() is None
    command.write_text("#!/bin/sh\necho 0, GPU-aa, 70.0\n")
    assert isinstance(gpu_meter(), NvidiaSmi)
