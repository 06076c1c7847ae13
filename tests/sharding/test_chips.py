"""Chips by the names of topologies and of devices, with figures that agree with each other."""

import pytest

from sharding.chips import CHIPS, GIB, Chip, UnknownChip, chip_for


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("v4", "v4"), ("v5e:16x16", "v5e"), ("tpu7x:2x2x1", "tpu7x"), ("TPU v4", "v4"), ("TPU v5 lite", "v5e"),
        ("TPU v5", "v5p"), ("TPU v5p", "v5p"), ("TPU v6 lite", "v6e"), ("TPU7x", "tpu7x"),
    ],
)  # fmt: skip
def test_a_chip_has_two_names(name: str, found: str) -> None:
    assert chip_for(name) is CHIPS[found]


@pytest.mark.parametrize("name", ["v3", "cpu", "TPU v3", ""])
def test_other_names_are_told_the_known_ones(name: str) -> None:
    with pytest.raises(UnknownChip, match="topologies are of v4, v5e, v5p, v6e, tpu7x"):
        chip_for(name)


@pytest.mark.parametrize(
    # Bytes a second of all of a chip's links, both ways, as Cloud TPU documents them; and devices of a chip.
    ("name", "interconnect", "devices"),
    [("v5e", 400e9, 1), ("v5p", 1200e9, 1), ("v6e", 800e9, 1), ("tpu7x", 1200e9, 2)],
)  # fmt: skip
def test_links_are_nine_tenths_of_the_documented(name: str, interconnect: float, devices: int) -> None:
    chip = chip_for(name)
    assert 2 * chip.links * chip.link_bandwidth * devices == pytest.approx(0.9 * interconnect)


@pytest.mark.parametrize("chip", CHIPS.values(), ids=CHIPS)
def test_figures_are_in_the_units_they_say(chip: Chip) -> None:
    assert 16 * GIB <= chip.hbm_bytes <= 192 * GIB
    assert chip.links == {2: 4, 3: 6}[chip.torus]
    # A faster memory is nearer: HBM, neighbours, the host, other slices.
    assert chip.hbm_bandwidth > chip.links * chip.link_bandwidth > chip.pcie_bandwidth > chip.dcn_bandwidth
    # FLOPs that a byte must be worth for the arithmetic to be the bottleneck: a few hundred, by every maker's design.
    assert 150 < chip.peak_flops / chip.hbm_bandwidth < 600


@pytest.mark.parametrize(
    # In a cycle as the compiler counts them: matrix units, and rows (and columns) of multiply-adds of each.
    ("name", "units", "rows"), [("v4", 8, 128), ("v5e", 4, 128), ("v5p", 8, 128), ("v6e", 4, 256), ("tpu7x", 4, 256)]
)  # fmt: skip
def test_clocks_times_what_a_cycle_does_are_the_peak(name: str, units: int, rows: int) -> None:
    chip = chip_for(name)
    assert chip.clock * units * rows * rows * 2 == pytest.approx(chip.peak_flops, rel=0.003)
