"""How long a step takes, by closed form: good enough to say which of many are worth compiling, and no better."""

import dataclasses

import jax.numpy as jnp

from experiments.planning.estimate import FEW, Traces, computed
from experiments.planning.residuals import micro_rows, stacks_of
from model.config import BlockSpec, TransformerConfig
from sharding.placement import SLICE, Layout
from sharding.topology import Topology
from train.experiment import Experiment
from train.memory import held_by
from train.state import TrainState

# Shares of the peaks that large products, links and memory come to; on v6e products come to less.
_PRODUCTS, _LINKS, _MEMORY = {"v6e": 0.7}, 0.8, 0.85
_USUAL_PRODUCTS = 0.9
# A kernel's share of the peak.
_ATTENTION = 0.6
# Where few devices share the weights (`estimate.FEW`), the compiler multiplies as they come round, in pieces: at 23% of
# the peak for a model of 125M on 16 chips, at 43% for one of 8B, where whole gathers come to 85%.
_PIECES = 0.7
# Of transfers that arithmetic could hide, what it does not.
_SHOWN = 0.15
# Tokens of a device at which the products come to half of that.
_TOKENS = 128
# Times that norms, gates and sums go over what layers compute, forwards and backwards, and over logits.
_PASSES, _LOGIT_PASSES = 4.3, 1.0
# Chips whose SparseCores gather and sum behind products (`sharding.compiler_flags`). On the others sums send twice as
# much, and are waited for.
_SUMS_BEHIND = ("v5p", "v6e", "tpu7x")
# Of a layer's projections: those that are multiplied again for its backward pass; of queries, of keys and values, of
# the output. Whether gates are, and whether attention is.
_AGAIN = {
    "none": (0, 0, 0, 0, 0), "save_products": (0, 0, 0, 0, 0), "save_qkv_attention": (0, 0, 1, 1, 0),
    "save_query_attention": (0, 1, 1, 1, 0), "save_attention": (1, 1, 1, 1, 0), "save_qkv": (0, 0, 1, 1, 1),
    "minimal": (0, 0, 0, 0, 1), "full": (1, 1, 1, 1, 1), "offload_stream": (1, 1, 1, 1, 1),
    "offload_attention": (1, 1, 1, 1, 0), "offload_qkv_attention": (0, 0, 1, 1, 0),
}  # fmt: skip
_FLOAT32 = 4


@dataclasses.dataclass(frozen=True)
class Pace:
    """Seconds of a step.

    Attributes:
      products: matrix products, with what is computed again.
      attention: products of queries, keys and values.
      memory: passes over what layers compute and over logits, and the optimizer's.
      exposed: transfers that nothing hides.
    """

    products: float
    attention: float
    memory: float
    exposed: float

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.products + self.attention + self.memory + self.exposed


def pace(
    experiment: Experiment, state: TrainState, layout: Layout, topology: Topology, traces: Traces | None = None
) -> Pace:
    """The pace of a step of `experiment` on the mesh of `layout`; `state` is shapes with shardings of it."""
    chip, batch, weights = topology.chip, experiment.batch, held_by(state.weights)
    tokens = micro_rows(experiment) * batch.sequence / layout.mesh.size
    turns = batch.accumulate
    products = attention = logits = layers = 0.0
    for stack in stacks_of(experiment.model):
        products += 6.0 * stack.embed * stack.vocab
        logits += _LOGIT_PASSES * _FLOAT32 * stack.vocab * tokens
        layers += len(stack.blocks)
        again = _AGAIN[stack.remat]
        for block in stack.blocks:
            products += 6.0 * _products(block, stack) + 2.0 * _again(block, stack, again)
            # Of the two products forwards; a flash kernel's backward pass has five, as it makes the scores again.
            one = block.attention.mask.density(batch.sequence) * block.attention.features_per_key(stack.embed)
            attention += one * (7.0 + 2.0 * again[-1])
    split = layout.mesh.shape.get("fsdp", 1) * layout.mesh.shape.get("context", 1)
    efficiency = _PRODUCTS.get(topology.generation, _USUAL_PRODUCTS) * tokens / (tokens + _TOKENS)
    hidden = products * tokens / (chip.peak_flops * efficiency * (_PIECES if 1 < split <= FEW else 1.0))
    sent, waited = _transfers(experiment, weights, layout, topology, tokens)
    exposed = waited + max(_SHOWN * sent, sent - hidden)
    passes = _PASSES * layers * computed(experiment, layout, traces or Traces()).widest + logits
    # Read and written, and the gradients besides.
    optimizer = 2 * (weights + held_by(state.optimizer) + turns * weights)
    return Pace(
        products=turns * hidden,
        attention=turns * attention * tokens / (chip.peak_flops * _ATTENTION),
        memory=(turns * passes + optimizer) / (chip.hbm_bandwidth * _MEMORY),
        exposed=turns * exposed + _replicas(weights, layout, topology),
    )


def _products(block: BlockSpec, stack: TransformerConfig) -> float:
    mixings = [mixing for mixing in (block.attention, block.cross) if mixing is not None]
    # Experts multiply their places, whether a token takes them or not.
    factor = getattr(getattr(block.feedforward, "dispatch", None), "factor", 1.0)
    return block.feedforward.matmul_weights(stack.embed) * factor + sum(m.matmul_weights(stack.embed) for m in mixings)


def _again(block: BlockSpec, stack: TransformerConfig, again: tuple[int, ...]) -> float:
    """Weights that a token is multiplied with once more, in the backward pass."""
    mixing = block.attention
    keys = getattr(mixing, "key_heads", mixing.heads) / mixing.heads
    query, key_value, output, gates, _ = again
    share = (query + 2 * keys * key_value + output) / (2 + 2 * keys)
    # The last product of a feed-forward layer is nobody's input within the block.
    inwards = (_products(block, stack) - mixing.matmul_weights(stack.embed)) * 2 / 3
    return mixing.matmul_weights(stack.embed) * share + inwards * gates


def _transfers(
    experiment: Experiment, held: int, layout: Layout, topology: Topology, tokens: float
) -> tuple[float, float]:
    """Seconds on the links in a micro-batch, of what arithmetic could hide and of what it waits for."""
    shape = layout.mesh.shape
    number = jnp.dtype(stacks_of(experiment.model)[-1].precision.compute_dtype).itemsize
    split = shape.get("fsdp", 1) * shape.get("context", 1)
    weights = held * split
    beside = waited = 0.0
    if split > 1:
        # Weights are gathered forwards and backwards, and gradients summed.
        part = (split - 1) / split * weights * number / _FLOAT32 / _rate(layout, topology, split)
        if split <= FEW or topology.generation in _SUMS_BEHIND:
            beside += 3 * part
        else:
            beside, waited = beside + 2 * part, waited + 2 * part
    for name, times in (("tensor", 4.0), ("expert", 6.0), ("context", 6.0)):
        ways = shape.get(name, 1)
        if ways == 1:
            continue
        # Of each layer: sums of the stream, tokens sent to experts and back, keys and values going round.
        each = sum(stack.layers * stack.embed for stack in stacks_of(experiment.model)) * number
        seconds = times * each * tokens * ways * (ways - 1) / ways / _rate(layout, topology, ways)
        if name == "context":
            beside += seconds / 4
        else:
            waited += seconds
    return beside, waited


def _replicas(gradients: int, layout: Layout, topology: Topology) -> float:
    """Seconds in which replicas add up their gradients, once a step."""
    shape = layout.mesh.shape
    data, slices = shape.get("data", 1), shape.get(SLICE, 1)
    seconds = 2 * gradients * (data - 1) / data / _rate(layout, topology, data) if data > 1 else 0.0
    if slices > 1:
        seconds += 2 * gradients * (slices - 1) / slices / topology.chip.dcn_bandwidth
    return seconds


def _rate(layout: Layout, topology: Topology, ways: int) -> float:
    """Bytes a second that a device sends in a group of so many: over all links in a whole slice, else along a ring."""
    links = topology.chip.links if ways >= layout.mesh.size // topology.slices else 2
    return links * topology.chip.link_bandwidth * _LINKS
