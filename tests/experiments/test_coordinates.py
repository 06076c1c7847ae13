"""The coordinate check (Yang 2022, appendix D.1): activations move as far at any width with muP, and further without.

All figures are root mean squares of changes after three steps of Adam at a rate of 1e-2, from the same seed.
"""

import dataclasses
import functools

import pytest

from experiments.coordinates import NAMES, moved, slope, widened
from model.attention import Attention
from model.feedforward import MLP, GatedMLP, LeadingFeedForward
from model.latent_attention import LatentAttention
from model.moe import MoE
from model.parametrization import MuP, Parametrization, Standard
from model.positions import NoPositions
from model.transformer import TransformerConfig
from train.optimizers import AdamW, Muon, Optimizer

BASE = TransformerConfig(1, 32, 64, Attention(2, positions=NoPositions()), MLP(64, "relu"))
# Little is computed here and much is compiled.
QUICK = {"xla_backend_optimization_level": 0}


@functools.cache
def after(
    parametrization: Parametrization, width: int = 32, layers: int = 1, optimizer: Optimizer | None = None,
    more_heads: bool = True,
) -> dict[str, float]:
    config = dataclasses.replace(widened(BASE, width, more_heads), parametrization=parametrization, layers=layers)
    return moved(config, optimizer or AdamW(decay=0.0), 1e-2, 3, options=QUICK)[-1]


def powers(parametrization: Parametrization, sizes: tuple[int, ...], field: str = "width", **rest) -> dict[str, float]:
    """The powers of the size that what `NAMES` says grows with; at the first size both are the same."""
    found = [after(Standard(), **rest, **{field: sizes[0]})]
    found += [after(parametrization, **rest, **{field: size}) for size in sizes[1:]]
    return {name: slope(sizes, [each[name] for each in found]) for name in NAMES}


def test_width_moves_nothing_with_mup_and_much_without() -> None:
    with_mup, without = powers(MuP(32), (32, 256)), powers(Standard(), (32, 256))
    assert all(abs(power) < 0.35 for power in with_mup.values()), with_mup
    assert without["attention logits"] > 1 and without["stream"] > 1 and without["logits"] > 0.5, without


@pytest.mark.slow
def test_widths_in_between_and_longer_heads() -> None:
    widths = (32, 64, 128, 256, 512)
    with_mup, without = powers(MuP(32), widths), powers(Standard(), widths)
    assert all(abs(power) < 0.3 for power in with_mup.values()), with_mup
    assert without["attention logits"] > 1 and without["stream"] > 1 and without["logits"] > 0.5, without
    longer = powers(MuP(32, base_head_dim=16), (32, 128), more_heads=False)
    assert abs(longer["attention logits"]) < 0.35, longer
    # Longer heads without 1/d: their logits grow with the root of their length.
    forgotten = powers(MuP(32), (32, 128), more_heads=False)
    assert forgotten["attention logits"] == pytest.approx(longer["attention logits"] + 0.5, abs=0.15)


@pytest.mark.slow
def test_depth_moves_nothing_with_completep_and_much_without() -> None:
    depths = (2, 4, 8)
    with_depth, without = powers(MuP(32, base_depth=2), depths, "layers"), powers(MuP(32), depths, "layers")
    assert all(abs(power) < 0.3 for power in with_depth.values()), with_depth
    assert without["stream"] > 0.7, without
    half = powers(MuP(32, base_depth=2, power=0.5), depths, "layers")
    assert abs(half["stream"]) < 0.35, half


@pytest.mark.slow
def test_muon_too() -> None:
    muon = {"optimizer": Muon(decay=0.0)}
    with_mup, without = powers(MuP(32), (32, 128), **muon), powers(Standard(), (32, 128), **muon)
    assert all(abs(power) < 0.35 for power in with_mup.values()), with_mup
    assert without["attention logits"] > 0.5 and without["logits"] > 0.5, without


def test_models_at_other_widths() -> None:
    wide = widened(dataclasses.replace(BASE, feedforward=LeadingFeedForward(1, MLP(48), MoE(4, 2, GatedMLP(16)))), 128)
    assert wide.embed == 128 and wide.attention.heads == 8 and wide.attention.kv_heads == 0
    assert wide.feedforward == LeadingFeedForward(1, MLP(192), MoE(4, 2, GatedMLP(64)))
    longer = widened(dataclasses.replace(BASE, attention=Attention(2, head_dim=16)), 64, more_heads=False)
    assert (longer.attention.heads, longer.attention.head_dim) == (2, 32)
    latent = LatentAttention(2, kv_rank=8, plain_dim=4, rotary_dim=4, value_dim=4)
    assert widened(dataclasses.replace(BASE, attention=latent), 64).attention == dataclasses.replace(
        latent, heads=4, kv_rank=16
    )
    with pytest.raises(ValueError, match="model.attention.heads is 2 at width 32; at width 40 it is no whole number"):
        widened(BASE, 40)


def test_slopes_are_powers() -> None:
    assert slope([2, 4, 8], [3 * 2**1.5, 3 * 4**1.5, 3 * 8**1.5]) == pytest.approx(1.5)
