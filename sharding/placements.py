"""The placements that ship: data-parallel, fully-sharded and tensor-parallel."""

import dataclasses
from typing import ClassVar

from sharding.placement import Placement, Rules


@dataclasses.dataclass(frozen=True)
class DataParallel(Placement):
    """Every device holds all weights and works on its share of the batch."""

    activations: ClassVar[Rules] = {"batch": "data"}

    def mesh_shape(self) -> dict[str, int]:
        """All devices on `data`."""
        return {"data": -1}


@dataclasses.dataclass(frozen=True)
class FullySharded(Placement):
    """Weights and optimizer state are split over `fsdp` and gathered layer by layer (ZeRO-3; Rajbhandari 2019).

    Attributes:
      data: replicas of the sharded whole; 1 shards over all devices.
      fsdp: devices over which one copy of the weights is split.
    """

    data: int = 1
    fsdp: int = -1

    weights: ClassVar[Rules] = {"embed": "fsdp"}
    activations: ClassVar[Rules] = {"batch": ("data", "fsdp")}

    def mesh_shape(self) -> dict[str, int]:
        """`data` outermost: replicas talk least."""
        return {"data": self.data, "fsdp": self.fsdp}


@dataclasses.dataclass(frozen=True)
class TensorParallel(Placement):
    """Heads, hidden units and vocabulary split over `tensor`, the rest fully sharded (Megatron; Shoeybi 2019).

    Attributes:
      data: replicas.
      fsdp: devices over which each tensor shard is split further.
      tensor: devices that share one layer's matrix products.
    """

    data: int = 1
    fsdp: int = -1
    tensor: int = 2

    weights: ClassVar[Rules] = {
        "embed": "fsdp",
        "heads": "tensor",
        "kv_heads": "tensor",
        "mlp": "tensor",
        "vocab": "tensor",
    }
    activations: ClassVar[Rules] = {
        "batch": ("data", "fsdp"),
        "heads": "tensor",
        "kv_heads": "tensor",
        "mlp": "tensor",
        "vocab": "tensor",
    }

    def mesh_shape(self) -> dict[str, int]:
        """`tensor` innermost: its collectives are in every layer."""
        return {"data": self.data, "fsdp": self.fsdp, "tensor": self.tensor}
