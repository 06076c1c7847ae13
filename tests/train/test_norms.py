"""Norms by group, against NumPy over gradients taken apart, in stacks of every shape."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from model.attention import Attention
from model.feedforward import MLP, FeedForwardPlan, GatedMLP, LeadingFeedForward
from model.masks import Causal, SlidingWindow
from model.mixing import Interleaved, MixingPlan
from model.positions import Learned
from model.precision import Precision
from model.transformer import TransformerConfig
from train.objective import Sums
from train.probe import Seen
from train.probes.norms import GradientTilt, LayerNorms, Norms, numbers_of
from train.state import Blueprint

LOCAL, GLOBAL = Attention(2, mask=Causal() & SlidingWindow(2), positions=Learned(8)), Attention(2, positions=Learned(8))


def blueprint(attention: MixingPlan, feedforward: FeedForwardPlan, layers: int) -> Blueprint:
    return Blueprint(
        TransformerConfig(layers, 8, 11, attention, feedforward, precision=Precision(compute="float32"))
    )


@pytest.mark.parametrize(
    ("attention", "feedforward", "layers"),
    [
        (GLOBAL, MLP(8), 3),
        (Interleaved((LOCAL, LOCAL, GLOBAL)), MLP(8), 7),
        (GLOBAL, LeadingFeedForward(2, MLP(8), GatedMLP(8)), 6),
        (Interleaved((LOCAL, GLOBAL)), LeadingFeedForward(1, MLP(8), GatedMLP(8)), 6),
    ],
)
def test_layers_are_numbered_as_they_follow(
    attention: MixingPlan, feedforward: FeedForwardPlan, layers: int
) -> None:
    made = blueprint(attention, feedforward, layers)
    numbers = numbers_of(made.table)
    assert sorted(n for found in numbers.values() for n in found) == list(range(layers))
    blocks = made.config.blocks
    for (_, place), found in numbers.items():
        assert all(blocks[n] == blocks[int(place)] for n in found)
    plan = {str(place): run for run in made.model(made.shapes).blocks.plan.runs for place in run.places}
    for (_, place), found in numbers.items():
        run = plan[place]
        assert found == [int(place) + turn * run.period for turn in range(run.repeats)]


def test_norms_are_those_of_the_weights_one_by_one() -> None:
    made = blueprint(Interleaved((LOCAL, GLOBAL)), MLP(8), 4)
    rng = np.random.default_rng(0)
    trees = [
        jax.tree.map(lambda leaf: jnp.asarray(rng.standard_normal(leaf.shape), jnp.float32), made.shapes)
        for _ in range(3)
    ]
    nothing = jnp.zeros(())
    weights, gradients, updates = trees
    seen = Seen(made.table, weights, gradients, updates, {}, Sums(nothing, nothing, nothing), nothing, nothing)
    by_layer, by_part = LayerNorms().measured(seen), Norms().measured(seen)

    def norm(*arrays: np.ndarray) -> float:
        return float(np.sqrt(sum((np.asarray(a, np.float64) ** 2).sum() for a in arrays)))

    # Layers 0 and 2 are the turns of place 0, 1 and 3 those of place 1.
    for layer in range(4):
        own = [np.asarray(leaf)[layer // 2] for leaf in jax.tree.leaves(gradients["blocks"][str(layer % 2)])]
        assert by_layer[f"gradient_norm/layer_{layer:02d}"] == pytest.approx(norm(*own), rel=1e-5)
    assert GradientTilt().measured(seen)["gradient_norm/last_over_first"] == pytest.approx(
        norm(*(np.asarray(leaf)[1] for leaf in jax.tree.leaves(gradients["blocks"]["1"])))
        / norm(*(np.asarray(leaf)[0] for leaf in jax.tree.leaves(gradients["blocks"]["0"]))), rel=1e-5,
    )  # fmt: skip
    attention = [leaf for place in "01" for leaf in jax.tree.leaves(updates["blocks"][place]["attention"])]
    assert by_part["update_norm/attention"] == pytest.approx(norm(*attention), rel=1e-5)
    assert by_part["update_share/embedding"] == pytest.approx(
        norm(updates["embedding"]) / norm(weights["embedding"]), rel=1e-5
    )
    for found, tree in ((by_layer, gradients), (by_part, gradients)):
        squares = [value**2 for key, value in found.items() if key.startswith("gradient_norm/")]
        assert np.sqrt(sum(squares)) == pytest.approx(float(optax.global_norm(tree)), rel=1e-5)
    kinds = ("gradient_norm", "update_norm", "weight_norm", "update_share")
    parts = ("attention", "embedding", "feedforward", "final_norm", "norms", "positions")
    assert set(by_part) == {f"{kind}/{part}" for kind in kinds for part in parts}
