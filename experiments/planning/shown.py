"""The plans that docs/tpu.md shows: shapes that ship, and those that another project was compiled for as well."""

import dataclasses

from experiments.planning.provenance import Provenance
from experiments.planning.record import Request
from sharding.compiler_flags import compiler_options
from sharding.topology import parse_topology
from train.experiment import Experiment
from train.load import load_experiment


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is planned.

    Attributes:
      config: `--config`.
      topology: `--topology`.
      changes: each a `--set`.
    """

    config: str
    topology: str
    changes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """By which it is found among results."""
        return " ".join((self.config, self.topology, *self.changes))

    def request(self) -> Request:
        """For the planner."""
        return Request(self.config, self.changes, parse_topology(self.topology))

    def experiment(self) -> Experiment:
        """The config with its changes."""
        return load_experiment(self.config, self.changes)[1]

    def is_of(self, made: Provenance) -> bool:
        """Whether figures that were made so are of its step and its chip's options of today."""
        return made.holds(self.experiment(), compiler_options(self.request().topology.chip.kind) or {})


@dataclasses.dataclass(frozen=True)
class Peer:
    """MaxText v0.2.4, compiled for the same pod by the same compiler, counted in the same way.

    Attributes:
      shape: model, tokens in a row, rows a chip.
      seconds: simulated, of a step.
      gib: of a chip.
      fastest: ours within the chip's memory.
      small: ours in no more than MaxText's memory; the same as `fastest` where that is no larger.
    """

    shape: str
    seconds: float
    gib: float
    fastest: Plan
    small: Plan

    @property
    def topology(self) -> str:
        """The pod."""
        return self.fastest.topology


SHIPPED = (
    Plan("gpt2_124m", "v5e:2x2", ("batch.accumulate=8",)),
    Plan("gpt2_124m", "v5e:4x4"),
    Plan("llama_125m", "v5e:4x4"),
    Plan("llama2_7b", "v5e:16x16"),
    Plan("llama3_1_8b:v5e", "v5e:16x16"),
    Plan("llama3_1_8b", "v6e:16x16"),
    Plan("llama3_8b", "v5p:8x8x4"),
    Plan("llama3_1_70b", "v6e:16x16"),
    Plan("llama3_1_70b:v5p", "v5p:8x8x8"),
    Plan("llama3_1_405b", "v5p:8x16x16"),
    Plan("mixtral_8x7b", "v5p:4x4x4"),
    Plan("deepseek_v3", "v5p:8x8x8"),
    Plan("llama3_1_8b_1m", "v5p:8x8x8"),
    Plan("gemma3_27b", "v6e:16x16"),
    Plan("t5_xxl", "v5e:16x16"),
)


def _llama2(topology: str, *changes: str) -> Plan:
    return Plan("llama2_7b", topology, changes)


# All rows at a time, where what is kept of them has room.
_WHOLE = "batch.accumulate=1"
_TWO = ("batch.batch=512", _WHOLE)
_ONE = ("batch.batch=256", _WHOLE)
_LONGER = ("batch.sequence=4096", "batch.batch=512")
_CUBE = ("batch.sequence=4096", "batch.batch=256", _WHOLE)
# MaxText's `global_parameter_scale` 16 and 32, six rows a chip.
_WIDER = (
    "model.layers=32", "model.attention.heads=64", "model.attention.kv_heads=64", "model.attention.head_dim=128",
    "model.feedforward.hidden=28672",
)  # fmt: skip
_16B = (*_WIDER, "model.embed=4096", "batch.batch=1536")
_32B = (*_WIDER, "model.embed=8192", "batch.batch=384")
_POD = "v5e:16x16"

BAR = (
    Peer("Llama 2 7B, 2,048, 4", 3.099, 10.03, _llama2(_POD), Plan("llama2_7b:small", _POD)),
    Peer(
        "Llama 2 7B, 2,048, 2", 1.626, 5.39,
        _llama2(_POD, *_TWO), _llama2(_POD, *_TWO, "model.remat=save_query_attention"),
    ),
    Peer(
        "Llama 2 7B, 2,048, 1", 0.906, 3.13,
        _llama2(_POD, *_ONE),
        _llama2(_POD, *_ONE, "model.remat=save_qkv", "objective.chunk=1024"),
    ),
    Peer(
        "Llama 2 7B, 4,096, 2", 3.344, 10.03,
        _llama2(_POD, *_LONGER), _llama2(_POD, *_LONGER, _WHOLE, "model.remat=save_attention"),
    ),
    Peer(
        "Llama 2 7B, 4,096, 4", 2.587, 45.91,
        _llama2("v5p:4x4x4", *_CUBE),
        _llama2("v5p:4x4x4", *_CUBE, "model.remat=save_qkv_attention"),
    ),
    Peer(
        "Llama 3.1 8B, 8,192, 4", 4.673, 18.94,
        Plan("llama3_1_8b", "v6e:16x16"), Plan("llama3_1_8b", "v6e:16x16", ("model.remat=full",)),
    ),
    Peer(
        "Llama 3.1 8B, 8,192, 1", 1.598, 13.94,
        Plan("llama3_1_8b", "v6e:4x4", ("batch.batch=16", "model.remat=full")),
        Plan("llama3_1_8b", "v6e:4x4", ("batch.batch=16", "model.remat=full")),
    ),
    Peer(
        "Mixtral 8x7B, 4,096, 8, capacity 1.25", 14.320, 35.59,
        Plan("mixtral_8x7b", "v5p:4x4x4"),
        Plan("mixtral_8x7b", "v5p:4x4x4", ("model.remat=full", "batch.accumulate=2")),
    ),
    Peer(
        "16B, 2,048, 6", 10.774, 8.64,
        _llama2(_POD, *_16B, _WHOLE, "model.remat=save_attention"),
        _llama2(_POD, *_16B, "model.remat=full"),
    ),
    Peer(
        "32B, 2,048, 6", 7.818, 86.99,
        _llama2("v5p:4x4x4", *_32B, _WHOLE, "model.remat=minimal", "objective.chunk=512"),
        _llama2("v5p:4x4x4", *_32B, _WHOLE, "model.remat=minimal", "objective.chunk=512"),
    ),
    Peer(
        "12 layers of 768, 1,024, 16, fully sharded", 0.369, 7.87,
        Plan("llama_125m", "v5e:4x4"), Plan("llama_125m", "v5e:4x4"),
    ),
    Peer(
        "12 layers of 768, 1,024, 16, replicated", 0.199, 9.52,
        Plan("llama_125m", "v5e:4x4"), Plan("llama_125m", "v5e:4x4"),
    ),
)  # fmt: skip


def every() -> tuple[Plan, ...]:
    """Each plan once."""
    of_bar = (plan for peer in BAR for plan in (peer.fastest, peer.small))
    return tuple(dict.fromkeys((*SHIPPED, *of_bar)))
