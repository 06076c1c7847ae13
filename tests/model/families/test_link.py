"""Our names of tensors, for stacks with more than one run, and the shapes that theirs have to have."""

import jax
import numpy as np
from flax import nnx

from model.attention import Attention
from model.families.forms import HeadsIn, HeadsOut, Joined, Transposed
from model.families.link import Link, link, tensors_of, theirs_shapes
from model.feedforward import MLP, GatedMLP, LeadingFeedForward
from model.masks import Causal, SlidingWindow
from model.mixing import Interleaved
from model.positions import Learned
from model.transformer import DecoderLM, TransformerConfig

ATTENTION = Interleaved((Attention(2, mask=Causal() & SlidingWindow(3)), Attention(2, kv_heads=1)))


def made(config: TransformerConfig) -> DecoderLM:
    return nnx.eval_shape(lambda: DecoderLM(config, nnx.Rngs(0)))


def test_a_stack_of_equal_blocks() -> None:
    config = TransformerConfig(3, 8, 11, Attention(2, positions=Learned(5)), MLP(6), tie_embeddings=False)
    found = tensors_of(made(config))
    assert set(found) == {
        "embedding", "unembedding", "positions.0.table", "final_norm.scale",
        *(
            f"blocks.{i}.{name}" for i in range(3) for name in (
                "norms.before0.scale", "norms.before1.scale", "attention.query", "attention.key", "attention.value",
                "attention.output", "feedforward.up", "feedforward.down",
            )
        ),
    }  # fmt: skip
    where = found["blocks.2.attention.query"]
    assert (where.path, where.repeat, where.shape) == (("blocks", "0", "attention", "query"), 2, (8, 2, 4))
    assert found["embedding"].repeat is None and found["embedding"].shape == (11, 8)


def test_places_of_interleaved_and_leading_blocks() -> None:
    config = TransformerConfig(7, 8, 11, ATTENTION, LeadingFeedForward(1, MLP(6), GatedMLP(5)))
    model = made(config)
    found = tensors_of(model)
    state = {tuple(map(str, path)): leaf for path, leaf in nnx.to_flat_state(nnx.state(model, nnx.Param))}
    taken = set()
    for block in range(7):
        where = found[f"blocks.{block}.feedforward.up"]
        assert where.shape == ((8, 6) if block == 0 else (8, 5))
        assert found[f"blocks.{block}.attention.key"].shape == (8, 2 - block % 2, 4)
        assert state[where.path].shape[1:] == where.shape and where.repeat < state[where.path].shape[0]
        # The layer of a place's first block, and as many periods further as its repeat says.
        run = next(run for run in model.blocks.plan.runs if int(where.path[1]) in run.places)
        assert block == int(where.path[1]) + where.repeat * run.period
        taken.add((where.path, where.repeat))
    assert len(taken) == 7
    assert sum(np.prod(where.shape) for where in found.values()) == sum(leaf.size for leaf in state.values())


def test_shapes_of_theirs() -> None:
    config = TransformerConfig(2, 8, 11, Attention(4, kv_heads=2, head_dim=6), GatedMLP(5))
    ours = tensors_of(made(config))
    qkv = Link(
        tuple(f"blocks.1.attention.{name}" for name in ("query", "key", "value")), ("qkv",),
        Joined((24, 12, 12), (HeadsIn(4), HeadsIn(2), HeadsIn(2))),
    )  # fmt: skip
    assert theirs_shapes(qkv, ours) == [(48, 8)]
    assert theirs_shapes(link("blocks.0.attention.output", "o", HeadsOut(4)), ours) == [(8, 24)]
    assert theirs_shapes(link("blocks.0.feedforward.up", "u", Transposed()), ours) == [(5, 8)]
    assert theirs_shapes(link("embedding", "e"), ours) == [(11, 8)]
    assert jax.tree.leaves(theirs_shapes(link("final_norm.scale", "n"), ours)) == [8]
