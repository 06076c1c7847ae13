"""Phi-3's joined matrices, taken apart as its own program does it; LongRoPE by both its names."""

from pathlib import Path

import numpy as np

from model.families.phi3 import Phi3
from model.families.published import Published
from model.families.transfer import load
from model.positions import LongRope, Rope
from tests.model.families.cases import CASES
from tests.model.families.published_models import weights, write


def test_joined_matrices(tmp_path: Path) -> None:
    write(tmp_path / "published", CASES["phi3"])
    config, model = load(tmp_path / "published")
    place = getattr(model.blocks, "0")
    heads, kv_heads, features, hidden = 4, 2, 12, 80
    joined = weights("model.layers.1.self_attn.qkv_proj.weight", ((heads + 2 * kv_heads) * features, 48))
    x = np.random.default_rng(0).normal(size=48)
    parts = np.split(joined @ x, [heads * features, (heads + kv_heads) * features])
    for name, part in zip(("query", "key", "value"), parts, strict=True):
        weight = np.asarray(getattr(place.attention, name)[...])[1]
        np.testing.assert_allclose(np.einsum("e,end->nd", x, weight), part.reshape(-1, features), rtol=1e-5, atol=1e-6)
    joined = weights("model.layers.2.mlp.gate_up_proj.weight", (2 * hidden, 48))
    for name, part in zip(("gate", "up"), np.split(joined @ x, 2), strict=True):
        weight = np.asarray(getattr(place.feedforward, name)[...])[2]
        np.testing.assert_allclose(x @ weight, part, rtol=1e-5, atol=1e-6)
    assert config.layers == 3


def test_longrope() -> None:
    config = Phi3().config(Published(CASES["phi3-longrope"]))
    short, long = (1.0, 1.1, 1.2, 1.3, 1.4, 1.5), (1.0, 1.5, 2.0, 3.5, 5.0, 8.0)
    assert config.attention.positions == Rope(10_000.0, LongRope(short, long, 100, 4.0))
    scaling = {**CASES["phi3-longrope"]["rope_scaling"], "type": "su"}
    assert Phi3().config(Published({**CASES["phi3-longrope"], "rope_scaling": scaling})) == config
    preset = Phi3().preset("Phi-3.5-mini").attention.positions.scaling
    assert preset.original == 4096 and preset.factor == 32.0
    # Factors grow with the wavelength.
    for factors in (preset.short_factors, preset.long_factors):
        assert len(factors) == 48 and list(factors) == sorted(factors)


def test_a_part_of_each_head_turns() -> None:
    config = Phi3().config(Published(CASES["phi3-partial"]))
    assert config.attention.positions.turning(16) == 12
