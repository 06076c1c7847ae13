"""The placements that ship: data-parallel, fully-sharded, tensor-parallel, all at once, and optimizers in shares."""

import dataclasses
from typing import ClassVar

from sharding.axes import Pipeline
from sharding.placement import SLICE, Placement, PlacementError, Rules


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

    weights: ClassVar[Rules] = {"embed": "fsdp", "latent": "fsdp"}
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
        "latent": "fsdp",
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


@dataclasses.dataclass(frozen=True)
class Combined(Placement):
    """Every way to divide the work, each over a mesh axis of its own; the others above are what this is with some of 1.

    Attributes:
      slices: slices joined by the data-centre network, which carries gradients and nothing else.
      data: replicas within a slice.
      stage: stages of a pipeline, each with its share of the layers; where there are none to share, as in the
        embedding, they divide the batch.
      fsdp: devices over which weights and optimizer state are split, and gathered layer by layer.
      expert: devices over which experts are split; elsewhere they divide the batch, as `fsdp` does.
      context: devices that share one sequence, and split weights as `fsdp` does.
      tensor: devices that share one layer's matrix products.
      micro: micro-batches that a pipeline computes a batch in, a multiple of `stage`; 0 for as many as stages.
      repeats: times that a micro-batch goes round the stages, with a part of each one's layers at a time. More make
        the bubble smaller, and have weights sent once a step to where they are computed.
    """

    slices: int = 1
    data: int = 1
    stage: int = 1
    fsdp: int = -1
    expert: int = 1
    context: int = 1
    tensor: int = 1
    micro: int = 0
    repeats: int = 1

    weights: ClassVar[Rules] = {
        "embed": ("fsdp", "context"),
        "latent": ("fsdp", "context"),
        "heads": "tensor",
        "kv_heads": "tensor",
        "mlp": "tensor",
        "vocab": "tensor",
        "experts": "expert",
        "layers": "stage",
    }
    activations: ClassVar[Rules] = {
        "batch": (SLICE, "data", "stage", "fsdp", "expert"),
        "groups": (SLICE, "data", "stage", "fsdp"),
        "seq": "context",
        "heads": "tensor",
        "kv_heads": "tensor",
        "mlp": "tensor",
        "vocab": "tensor",
        "experts": "expert",
        "stages": "stage",
    }

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            size = getattr(self, field.name)
            if field.name not in ("stage", "micro", "repeats") and size != -1 and size < 1:
                raise PlacementError(f"placement.{field.name} is {size}; it is at least 1, or -1 for what remains")
        for name in ("stage", "repeats"):
            if getattr(self, name) < 1:
                raise PlacementError(f"placement.{name} is {getattr(self, name)}; it is at least 1")
        if self.micro < 0 or self.micro % self.stage:
            raise PlacementError(
                f"placement.micro is {self.micro}; it is a multiple of placement.stage ({self.stage}), or 0 for as many"
            )

    def mesh_shape(self) -> dict[str, int]:
        """What talks most lies innermost; axes of one device are left out."""
        sizes = dataclasses.asdict(self)
        del sizes["micro"], sizes["repeats"]
        named = {SLICE: sizes.pop("slices"), **sizes}
        return {name: size for name, size in named.items() if size != 1} or {"data": 1}

    def pipeline(self, devices: int) -> Pipeline:
        """As the fields say."""
        return Pipeline(self.micro or self.stage, self.repeats) if self.stage > 1 else Pipeline()


@dataclasses.dataclass(frozen=True)
class ShardedOptimizer(Combined):
    """The optimizer's state and the weights it updates are divided over all devices, beyond the weights computed with.

    A step gathers weights once, sums each gradient into shares (reduce-scatter), and updates the shares: stages 1 and
    2 of ZeRO (Rajbhandari 2019, arXiv:1910.02054, section 5). Weights computed with are divided as in `Combined`; by
    default they are whole, and `fsdp` above 1 shards them within so many devices and replicates that.
    """

    data: int = -1
    fsdp: int = 1

    optimizer: ClassVar[Rules | None] = {
        **Combined.weights,
        **dict.fromkeys(("embed", "latent"), ("fsdp", "context", "data", SLICE)),
    }
