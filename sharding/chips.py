"""What one JAX device of a TPU has: memory, arithmetic, and the networks that join it to others.

Sources, unless a comment says otherwise: Cloud TPU's documentation, one page a generation
(https://docs.cloud.google.com/tpu/docs/v4, .../v5e, .../v5p, .../v6e, .../tpu7x).
"""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sharding.hardware import PEAK_FLOPS

GIB = 2**30


class UnknownChip(ValueError):
    """A name that no known TPU has."""


@dataclasses.dataclass(frozen=True)
class Chip:
    """One JAX device: a chip, or one of the two of a tpu7x chip, whose memory and networks it then has half of.

    Attributes:
      name: as topologies are named, `v5e` of `v5e:16x16`.
      kind: prefix of `device_kind`.
      hbm_bytes: memory.
      hbm_bandwidth: bytes a second, read and written together.
      peak_flops: dense bfloat16 FLOP/s.
      clock: cycles a second of the unit in which the compiler estimates cycles.
      torus: dimensions of the torus of chips; along each a chip has two links.
      link_bandwidth: bytes a second over one link, one way.
      pcie_bandwidth: bytes a second between its memory and the host's, one way.
      dcn_bandwidth: bytes a second of its share of the host's network, one way.
      topology_options: what `jax.experimental.topologies.get_topology_desc` needs to be told for one device a chip.
    """

    name: str
    kind: str
    hbm_bytes: int
    hbm_bandwidth: float
    peak_flops: float
    clock: float
    torus: int
    link_bandwidth: float
    pcie_bandwidth: float
    dcn_bandwidth: float
    topology_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def links(self) -> int:
        """Links to its neighbours."""
        return 2 * self.torus


# Clocks: with what matrix units do in a cycle they make the peak, and the cycles that the compiler estimates for large
# products come out somewhat below it (tests/sharding/program/test_cost.py).
# Links: documented is the sum of all links both ways (v5e 400 GB/s, v5p and tpu7x 1200, v6e 800; v4 2400 Gb/s, six
# ways at 50 GB/s); nine tenths of a link's share, as measured figures have it ("How to Scale Your Model", chapter 2).
# PCIe: the same chapter. DCN: v5e's is of a pod of 256, 6.4 Tb/s; v4's is not documented, and taken to be v5p's.
_CHIPS = (
    Chip(
        name="v4", kind="TPU v4", hbm_bytes=32 * GIB, hbm_bandwidth=1.228e12, peak_flops=PEAK_FLOPS["TPU v4"],
        clock=1.05e9, torus=3, link_bandwidth=45e9, pcie_bandwidth=16e9, dcn_bandwidth=6.25e9,
        # Without these each of a chip's two TensorCores is a device, which Cloud TPU's runtime has not.
        topology_options={"chip_config_name": "megacore", "chips_per_host_bounds": (2, 2, 1)},
    ),
    Chip(
        name="v5e", kind="TPU v5 lite", hbm_bytes=16 * GIB, hbm_bandwidth=0.819e12, peak_flops=PEAK_FLOPS["TPU v5e"],
        clock=1.5e9, torus=2, link_bandwidth=45e9, pcie_bandwidth=16e9, dcn_bandwidth=3.125e9,
    ),
    Chip(
        name="v5p", kind="TPU v5", hbm_bytes=95 * GIB, hbm_bandwidth=2.765e12, peak_flops=PEAK_FLOPS["TPU v5p"],
        clock=1.75e9, torus=3, link_bandwidth=90e9, pcie_bandwidth=16e9, dcn_bandwidth=6.25e9,
    ),
    Chip(
        name="v6e", kind="TPU v6 lite", hbm_bytes=32 * GIB, hbm_bandwidth=1.64e12, peak_flops=PEAK_FLOPS["TPU v6e"],
        clock=1.75e9, torus=2, link_bandwidth=90e9, pcie_bandwidth=32e9, dcn_bandwidth=12.5e9,
    ),
    Chip(
        name="tpu7x", kind="TPU7x", hbm_bytes=96 * GIB, hbm_bandwidth=3.69e12, peak_flops=PEAK_FLOPS["TPU7x"],
        clock=2.2e9, torus=3, link_bandwidth=45e9, pcie_bandwidth=16e9, dcn_bandwidth=6.25e9,
    ),
)  # fmt: skip
CHIPS: Mapping[str, Chip] = MappingProxyType({chip.name: chip for chip in _CHIPS})


def chip_for(name: str) -> Chip:
    """The chip of a topology (`v5e` or `v5e:16x16`), or of a JAX device by its `device_kind` (`TPU v5 lite`).

    Raises UnknownChip for a name that is neither.
    """
    found = CHIPS.get(name.partition(":")[0])
    if found is not None:
        return found
    # The longest prefix counts: "TPU v5 lite" begins with "TPU v5".
    matches = [chip for chip in _CHIPS if name.startswith(chip.kind)]
    if matches:
        return max(matches, key=lambda chip: len(chip.kind))
    raise UnknownChip(
        f"{name!r} is no known TPU; topologies are of {', '.join(CHIPS)}, "
        f"device kinds are {', '.join(repr(chip.kind) for chip in _CHIPS)}"
    )
