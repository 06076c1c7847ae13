"""Rotary frequencies and rotations against transformers itself, which also made the goldens of the default suite.

Needs the extra `parity`. The goldens are written anew by

    PYTHONPATH=. python tests/model/parity/test_rope_scaling.py

and the figures that docstrings tell are printed by

    python -m pytest -m slow -s tests/model/parity/test_rope_scaling.py
"""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data.spec import describe
from model.positions import DynamicNTK, LinearScaling, Llama3Scaling, LongRope, Rope, Yarn
from model.rope_scaling import unscaled

pytestmark = pytest.mark.slow
GOLDENS = Path(__file__).parents[1] / "goldens" / "rope_scaling.json"


def divisors(pairs: int, most: float) -> tuple[float, ...]:
    """A divisor for each pair of features, growing as those of Phi-3 do."""
    return tuple(float(v) for v in np.round(1 + (most - 1) * np.linspace(0, 1, pairs) ** 2, 3))


def yarn(factor: float, original: int, **more: Any) -> dict[str, Any]:
    return {
        "rope_type": "yarn", "factor": factor, "original_max_position_embeddings": original, **more
    }  # fmt: skip


def llama3(factor: float, original: int) -> dict[str, Any]:
    return {
        "rope_type": "llama3", "factor": factor, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": original,
    }  # fmt: skip


def ropes(size: int) -> dict[str, tuple[Rope, int, dict[str, Any]]]:
    """By name: the encoding, a length past which its scaling shows, and what transformers calls it; `size` turn."""
    short, long = divisors(size // 2, 1.5), divisors(size // 2, 60.0)
    deepseek = {"mscale": 1.0, "mscale_all_dim": 0.707}
    betas = {"beta_fast": 16.0, "beta_slow": 2.0, "attention_factor": 1.25}
    return {
        "plain": (Rope(), 4096, {}),
        "partial": (Rope(500_000.0, fraction=0.25), 4096, {"partial_rotary_factor": 0.25}),
        "linear": (Rope(1e6, LinearScaling(8.0)), 4096, {"rope_type": "linear", "factor": 8.0}),
        "dynamic": (Rope(scaling=DynamicNTK(2.0, 64)), 64, {"rope_type": "dynamic", "factor": 2.0}),
        "dynamic, partial": (
            Rope(scaling=DynamicNTK(4.0, 2048), fraction=0.5), 2048,
            {"rope_type": "dynamic", "factor": 4.0, "partial_rotary_factor": 0.5},
        ),
        "yarn": (Rope(1e6, Yarn(4.0, 32768)), 32768, yarn(4.0, 32768)),
        "yarn of gpt-oss": (
            Rope(150_000.0, Yarn(32.0, 4096, truncate=False)), 4096, yarn(32.0, 4096, truncate=False)
        ),
        "yarn of DeepSeek": (Rope(scaling=Yarn(40.0, 4096, **deepseek)), 4096, yarn(40.0, 4096, **deepseek)),
        "yarn with every field": (
            Rope(scaling=Yarn(16.0, 2048, **betas), fraction=0.5), 2048,
            yarn(16.0, 2048, partial_rotary_factor=0.5, **betas),
        ),
        "llama 3.1": (Rope(500_000.0, Llama3Scaling()), 8192, llama3(8.0, 8192)),
        "llama 3.2": (Rope(500_000.0, Llama3Scaling(32.0)), 8192, llama3(32.0, 8192)),
        "longrope": (
            Rope(scaling=LongRope(short, long, 4096, 32.0)), 4096,
            {
                "rope_type": "longrope", "factor": 32.0, "short_factor": list(short), "long_factor": list(long),
                "original_max_position_embeddings": 4096,
            },
        ),
    }  # fmt: skip


def places(original: int) -> tuple[list[int], list[int]]:
    """Positions of a call within a length, and of one beyond it."""
    return [0, 1, 7, original // 2, original - 1], [0, 5, original - 1, original, 3 * original + 1, 100_000]


def rotary(spec: Rope, head_dim: int, original: int, parameters: dict[str, Any], positions: list[int]) -> Any:
    """Frequencies, amplitude, cosines and sines as transformers has them for one row."""
    import torch
    from transformers import LlamaConfig, logging
    from transformers.models.phi3.modeling_phi3 import Phi3RotaryEmbedding

    # It has remarks on lengths that are no multiple of another by the factor.
    logging.set_verbosity_error()
    config = LlamaConfig(
        hidden_size=4 * head_dim, num_attention_heads=4, head_dim=head_dim, max_position_embeddings=original,
        rope_parameters={"rope_type": "default", "rope_theta": spec.theta, **parameters},
    )  # fmt: skip
    # Phi-3's module is Llama's, and knows that part of a head may stay.
    module = Phi3RotaryEmbedding(config)
    with torch.no_grad():
        cos, sin = module(torch.zeros(1), torch.tensor([positions]))
    pairs = cos.shape[-1] // 2
    return module.inv_freq.numpy(), module.attention_scaling, cos[0, :, :pairs].numpy(), sin[0, :, :pairs].numpy()


def digits(values: np.ndarray) -> Any:
    """Nine digits, which tell every float32."""
    return np.vectorize(lambda value: float(f"{value:.9g}"))(values).tolist()


def reference() -> list[dict[str, Any]]:
    """All that the default suite compares with."""
    rope = []
    for name, (spec, original, parameters) in ropes(8).items():
        head_dim = round(8 / spec.fraction)
        for where, positions in zip(("within", "beyond"), places(original), strict=True):
            inverse, amplitude, cos, sin = rotary(spec, head_dim, original, parameters, positions)
            rope.append({
                "name": f"{name}, {where}", "spec": describe(spec), "head_dim": head_dim, "positions": positions,
                "frequencies": digits(inverse), "amplitude": float(amplitude),
                "cos": digits(cos[-2:]), "sin": digits(sin[-2:]),
            })  # fmt: skip
    return rope


@pytest.fixture(scope="module", autouse=True)
def transformers() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")


def units(found: Any, expected: Any) -> np.ndarray:
    """How many float32 numbers lie between."""
    ordered = (np.asarray(part, np.float32).view(np.int32).astype(np.int64) for part in (found, expected))
    return np.abs(np.subtract(*ordered))


def test_goldens_are_those_of_this_version() -> None:
    for case, new in zip(json.loads(GOLDENS.read_text()), reference(), strict=True):
        exact = ("name", "spec", "head_dim", "positions", "amplitude")
        assert [case[key] for key in exact] == [new[key] for key in exact]
        assert units(case["frequencies"], new["frequencies"]).max() <= 2


@pytest.mark.parametrize("size", [32, 64, 128])
def test_turns_are_those_of_transformers(size: int) -> None:
    for name, (spec, original, parameters) in ropes(size).items():
        head_dim = round(size / spec.fraction)
        for positions in places(original):
            inverse, amplitude, cos, sin = rotary(spec, head_dim, original, parameters, positions)
            row = jnp.asarray([positions], jnp.int32)
            assert spec.turning(head_dim) == size
            found = jax.jit(lambda row, spec=spec: spec.turns(size, row))(row)
            frequencies = (
                unscaled(spec.theta, size) if spec.scaling is None
                else spec.scaling.frequencies(spec.theta, size, row)
            )  # fmt: skip
            last_bits = units(frequencies, inverse).max()
            apart = max(np.abs(f[0] - e).max() for f, e in zip(found, (cos, sin), strict=True))
            print(f"\n{size:3} {name:22} to {positions[-1]:6}: {last_bits} ulp, cos and sin within {apart:.1e}", end="")
            assert amplitude == (1.0 if spec.scaling is None else spec.scaling.amplitude())
            assert last_bits <= (12 if "dynamic" in name else 2)
            # What so many units of a frequency make of the angle.
            allowed = 5e-7 + np.outer(positions, inverse) * last_bits * 2.0**-23
            for ours, theirs in zip(found, (cos, sin), strict=True):
                assert (np.abs(ours[0] - theirs) <= amplitude * allowed).all(), name


def test_last_bits_of_powers() -> None:
    import torch

    different, total, most = 0, 0, 0
    for theta in (10.0, 1e4, 2e4, 1e5, 1.5e5, 5e5, 1e6, 1e7, 3.2e7):
        for size in (8, 16, 20, 32, 48, 64, 80, 96, 128, 256):
            theirs = 1 / theta ** (torch.arange(0, size, 2).float() / size)
            apart = units(unscaled(theta, size), theirs.numpy())
            different, total, most = different + int((apart > 0).sum()), total + apart.size, max(most, apart.max())
    print(f"\nfrequencies: {different} of {total} differ, by at most {most} units in the last place", end="")
    assert different < total / 50 and most <= 2


def test_rotations_are_those_of_transformers() -> None:
    import torch
    from transformers.models.deepseek_v3 import modeling_deepseek_v3 as deepseek
    from transformers.models.gpt_neox import modeling_gpt_neox as neox
    from transformers.models.gptj import modeling_gptj as gptj

    rng = np.random.default_rng(0)
    q, k = rng.normal(size=(2, 2, 11, 3, 16)).astype(np.float32)
    positions = rng.integers(0, 3000, (2, 11)).astype(np.int32)
    heads_first = [torch.from_numpy(part).transpose(1, 2) for part in (q, k)]

    def turned(spec: Rope, size: int = 16) -> tuple[list[np.ndarray], list[torch.Tensor]]:
        found = [np.asarray(spec.at_heads(jnp.asarray(part), jnp.asarray(positions))) for part in (q, k)]
        return found, [torch.from_numpy(np.array(part)) for part in spec.turns(size, jnp.asarray(positions))]

    (found, _), (cos, sin) = turned(Rope(fraction=0.25), 4)
    doubled = [torch.cat([part, part], dim=-1) for part in (cos, sin)]
    expected = neox.apply_rotary_pos_emb(*heads_first, *doubled)[0].transpose(1, 2).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)

    (q_turned, k_turned), (cos, sin) = turned(Rope(interleaved=True))
    expected = gptj.apply_rotary_pos_emb(torch.from_numpy(q), sin, cos).numpy()
    np.testing.assert_allclose(q_turned, expected, atol=1e-6)
    # DeepSeek's come out in another order of features, the same for queries and keys.
    doubled = [torch.cat([part, part], dim=-1) for part in (cos, sin)]
    theirs = [part.numpy() for part in deepseek.apply_rotary_pos_emb_interleave(*heads_first, *doubled)]
    np.testing.assert_allclose(
        np.einsum("bqhd,bthd->bhqt", q_turned, k_turned), np.einsum("bhqd,bhtd->bhqt", *theirs), atol=1e-5
    )


def test_softmax_factor_is_that_of_deepseek() -> None:
    from transformers.models.deepseek_v3.modeling_deepseek_v3 import yarn_apply_mscale

    for weight in (0.0, 0.707, 1.0):
        spec = Rope(scaling=Yarn(40.0, 4096, mscale=weight, mscale_all_dim=weight))
        expected = yarn_apply_mscale(yarn(40.0, 4096, mscale_all_dim=weight), 1.0)
        assert spec.softmax_factor() == pytest.approx(expected, rel=1e-15)


if __name__ == "__main__":
    GOLDENS.write_text("[\n" + ",\n".join(map(json.dumps, reference())) + "\n]\n")
