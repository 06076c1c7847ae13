"""What is known of a model before training, and the weights it starts from."""

import jax
import numpy as np
import pytest

from model.attention import Attention
from model.feedforward import MLP
from model.norms import LayerNorm
from model.parametrization import Standard
from model.positions import Learned
from model.qk_norm import PerHead
from model.transformer import TransformerConfig
from train.state import Blueprint, keys

CONFIG = TransformerConfig(
    layers=3, embed=40, vocab=50, norm=LayerNorm(bias=True), parametrization=Standard(0.1),
    attention=Attention(4, kv_heads=2, positions=Learned(16), qk_norm=PerHead()), feedforward=MLP(64),
    tie_embeddings=False,
)  # fmt: skip


@pytest.fixture(scope="module")
def blueprint() -> Blueprint:
    return Blueprint(CONFIG)


def by_path(tree) -> dict[str, np.ndarray]:
    return {".".join(keys(path)): leaf for path, leaf in jax.tree.leaves_with_path(tree)}


def test_count_and_matrices(blueprint: Blueprint) -> None:
    layer = 40 * 10 * (4 + 2 + 2 + 4) + 2 * 10 + 2 * 40 * 64 + 4 * 40
    assert blueprint.count() == 3 * layer + 2 * 50 * 40 + 16 * 40 + 2 * 40
    vectors = {path for path, weight in by_path(blueprint.table).items() if not weight.matrix}
    assert vectors == {
        "final_norm.scale", "final_norm.bias",
        "blocks.0.norms.before0.scale", "blocks.0.norms.before0.bias",
        "blocks.0.norms.before1.scale", "blocks.0.norms.before1.bias",
        "blocks.0.attention.query_norm.scale", "blocks.0.attention.key_norm.scale",
    }  # fmt: skip


def test_fresh_weights_have_the_right_spread(blueprint: Blueprint) -> None:
    make = jax.jit(blueprint.weights, compiler_options={"xla_backend_optimization_level": 0})
    weights, other = (by_path(make(jax.random.key(i))) for i in range(2))
    shapes = by_path(blueprint.shapes)
    assert weights.keys() == shapes.keys()
    for path, leaf in weights.items():
        assert (leaf.shape, leaf.dtype) == (shapes[path].shape, shapes[path].dtype)
        leaf = np.asarray(leaf)
        if "scale" in path or "bias" in path:
            assert (leaf == ("scale" in path)).all(), path
            continue
        residual = path.endswith(("output", "down"))
        std = 0.1 / np.sqrt(2 * 3) if residual else 0.1
        # Five deviations of what the spread of so many draws may be.
        assert leaf.std() == pytest.approx(std, rel=5 / np.sqrt(2 * leaf.size)), path
        assert abs(leaf.mean()) < 5 * std / np.sqrt(leaf.size)
        assert not np.array_equal(leaf, other[path])
        if path.startswith("blocks"):
            assert not np.array_equal(leaf[0], leaf[1])
    drawn = [leaf.ravel()[0].item() for path, leaf in weights.items() if leaf.std() > 0]
    assert len(set(drawn)) == len(drawn)


def test_a_blueprint_rebuilds_its_model(blueprint: Blueprint) -> None:
    weights = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), blueprint.shapes)
    model = blueprint.model(weights)
    assert model.config == CONFIG
    assert getattr(model.blocks, "0").attention.query[...].shape == (3, 40, 4, 10)
