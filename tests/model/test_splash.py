"""Splash attention by Pallas' interpreter against NumPy float64; what the TPU's own compiler makes of it."""

import importlib.util
import math
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.kernels import Blocked, Dropout, Scores, Visibility
from model.masks import (
    Causal,
    Full,
    Global,
    Mask,
    Places,
    RandomBlocks,
    Segments,
    Sinks,
    SlidingWindow,
    Strided,
)
from model.splash import Splash, lowered
from sharding.axes import active
from sharding.placements import DataParallel, TensorParallel

_spec = importlib.util.spec_from_file_location("attention_reference", Path(__file__).parent / "attention_reference.py")
attention_reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(attention_reference)
Case, agree = attention_reference.Case, attention_reference.agree

SMALL = Splash(128, 128, 128, interpret=True)
BIGBIRD = Causal() & (Global(8) | SlidingWindow(40) | RandomBlocks(16, 1))


def packed(length: int) -> np.ndarray:
    return np.sort(np.random.default_rng(0).integers(0, 3, (2, length)), axis=1)


CASES = {
    "causal, packed, odd length": Case(Causal() & Segments(), 200, 4, 2, packed(200)),
    "window, softcap and sinks": Case(Causal() & SlidingWindow(70), 256, 2, 1, softcap=1.5, sinks=True),
    "bigbird": Case(BIGBIRD, 384),
}


@pytest.mark.parametrize(
    "name", [name if "causal" in name else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
)
def test_the_kernel_is_softmax_attention(name: str) -> None:
    agree([SMALL], CASES[name], within=1e-5)


@pytest.mark.parametrize("mask",
    [
        pytest.param(Causal() & SlidingWindow(70), marks=pytest.mark.slow),
        Causal() & (Sinks(1) | Strided(60)) & Segments(),
    ],
    ids=str,
)
def test_computed_masks_and_the_fused_backward_pass(mask: Mask) -> None:
    kernel = Splash(128, 128, 128, computed=True, fused_backward=True, interpret=True)
    agree([kernel], Case(mask, 200, 2, 1, packed(200), softcap=1.5, sinks=True), within=1e-5)


def test_keys_of_no_segment_in_another_row() -> None:
    """A query whose segment no key has gets 0, as in every kernel."""
    rng = np.random.default_rng(0)
    q, k, v = (jnp.asarray(rng.normal(size=(1, n, 1, 8)), jnp.float32) for n in (130, 200, 200))
    query = Places(jnp.arange(130)[None], jnp.asarray([[1] * 100 + [7] * 30]))
    key = Places(jnp.arange(200)[None], jnp.asarray([[1] * 150 + [0] * 50]))
    seen = Visibility(Full() & Segments(), query, key, plain=True)
    splash, blocked = (
        jax.jit(lambda kernel=kernel: kernel.attend(q, k, v, seen, Scores(0.5), None))()
        for kernel in (SMALL, Blocked())
    )
    assert not splash[:, 100:].any() and splash[:, :100].all()
    np.testing.assert_allclose(splash, blocked, atol=1e-5)


@pytest.mark.parametrize("placement",
    [pytest.param(DataParallel(), marks=pytest.mark.slow), TensorParallel(data=1, fsdp=2, tensor=4)],
    ids=str,
)
def test_shares_of_devices_are_the_whole(placement: Any) -> None:
    """Also where key heads are fewer than the devices that share the heads."""
    layout = placement.on()
    rng = np.random.default_rng(1)
    q, k, v = (jnp.asarray(rng.normal(size=(8, 128, heads, 8)), jnp.float32) for heads in (4, 2, 2))
    sinks = jnp.asarray(rng.normal(size=4), jnp.float32)
    where = Places(jnp.arange(128)[None], jnp.asarray(np.sort(rng.integers(0, 3, (8, 128)), axis=1)))
    seen = Visibility(Causal() & Segments(), where, where, plain=True)

    def gradients(kernel: Any) -> Any:
        def total(*parts: Any) -> Any:
            q, k, v, sinks = parts
            return (kernel.attend(q, k, v, seen, Scores(0.4, sinks=sinks), None) ** 2).sum()

        return jax.jit(jax.value_and_grad(total, (0, 1, 2, 3)))

    with active(layout):
        text = gradients(SMALL).lower(q, k, v, sinks).as_text()
        found = gradients(SMALL)(q, k, v, sinks)
    assert "manual_computation" in text or "shard_map" in text
    for ours, wanted in zip(*map(jax.tree.leaves, (found, gradients(Blocked(64))(q, k, v, sinks))), strict=True):
        np.testing.assert_allclose(ours, wanted, atol=1e-4 * float(jnp.abs(wanted).max()))


def test_what_splash_is_given_of_a_mask() -> None:
    window = Causal() & SlidingWindow(9)
    assert lowered(window & Segments(), True) == (window, True)
    assert lowered(Segments(), True) == (Full(), True)
    assert lowered(window, True) == (window, False)
    assert lowered(window | Segments(), True) is None and lowered(window & ~Segments(), True) is None
    assert lowered(Causal() & ~Segments(), False) == (Causal() & ~Full(), False)


def active_blocks(mask: Mask, length: int) -> tuple[int, tuple[int, ...]]:
    """Blocks that are computed, and the kernel's grid of queries and keys."""
    blocks = SMALL.kernel(mask, length, length, 1, 0.0).fwd_mask_info.block_mask
    return int((blocks > 0).sum()), blocks.shape[1:]


def test_empty_blocks_are_not_in_the_grid() -> None:
    assert active_blocks(Causal(), 1024) == (36, (8, 8))
    assert active_blocks(Causal() & SlidingWindow(128), 1024) == (15, (8, 2))
    assert active_blocks(Causal() & (Sinks(4) | SlidingWindow(128)), 1024) == (21, (8, 3))


REFUSED = {
    "bias": (Causal(), {"bias": True}, None),
    "queries that see nothing": (Causal() & ~SlidingWindow(3), {}, None),
    "segments elsewhere": (Causal() & (Segments() | SlidingWindow(3)), {"segments": packed(128)}, None),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_splash_cannot_do_is_done_all_the_same(name: str) -> None:
    mask, more, _ = REFUSED[name]
    agree([SMALL], Case(mask, 128, **more), within=1e-5)


def test_other_platforms_and_dropout_fall_back() -> None:
    q = jnp.ones((1, 128, 1, 4))
    where = Places(jnp.arange(128)[None])
    seen = Visibility(Causal(), where, where, plain=True)

    def program(kernel: Splash, dropout: Dropout | None, seen: Visibility = seen) -> str:
        return str(jax.make_jaxpr(lambda q: kernel.attend(q, q, q, seen, Scores(1.0), dropout))(q))

    assert "pallas_call" in program(SMALL, None)
    assert "pallas_call" not in program(Splash(), None)
    assert "pallas_call" not in program(SMALL, Dropout(0.5, jax.random.key(0)))
    assert "pallas_call" not in program(SMALL, None, seen._replace(plain=False))


def test_block_sizes_divide_what_they_cut() -> None:
    sizes = Splash(512, 1024, 256, backward_queries=256).block_sizes(1500, 1100)
    assert [sizes[name] for name in ("block_q", "block_kv", "block_kv_compute")] == [512, 384, 128]  # of 1536, 1152
    assert [sizes[name] for name in ("block_q_dkv", "block_kv_dkv", "block_q_dq", "block_kv_dq")] == [256, 384] * 2
    with pytest.raises(ValueError, match="Splash.keys is 64; a block holds at least 128"):
        Splash(keys=64)
    with pytest.raises(ValueError, match="Splash.backward_keys is 1; a block holds at least 128, and 0 means"):
        Splash(backward_keys=1)


@pytest.mark.slow
@pytest.mark.parametrize("computed", [False, True])
@pytest.mark.parametrize("head_dim", [64, 128])
def test_the_tpu_compiler_takes_it(computed: bool, head_dim: int) -> None:
    """Forward and backward, over four chips; a window's kernels have the smaller grid."""
    from jax.experimental import topologies

    try:
        devices = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2").devices
    except Exception as error:  # noqa: BLE001 - without libtpu the reason comes in several types
        pytest.skip(f"libtpu gives no topology here: {error}")
    layout = TensorParallel(data=1, fsdp=2, tensor=2).on(devices)
    length, kernel = 2048, Splash(256, 256, 256, computed=computed)

    def steps(mask: Mask) -> list[int]:
        """Steps of each kernel's grid on one chip."""

        def total(q: Any, k: Any, v: Any, segments: Any, sinks: Any) -> Any:
            where = Places(jnp.arange(length)[None], segments)
            seen = Visibility(mask & Segments(), where, where, plain=True)
            return kernel.attend(q, k, v, seen, Scores(0.1, None, 30.0, sinks), None).astype(jnp.float32).sum()

        shapes = [((4, length, heads, head_dim), jnp.bfloat16) for heads in (4, 2, 2)]
        shapes += [((4, length), jnp.int32), ((4,), jnp.float32)]
        given = [jax.ShapeDtypeStruct(*shape, sharding=layout.replicated) for shape in shapes]
        with active(layout):
            traced = jax.jit(jax.grad(total, (0, 1, 2, 4))).trace(*given)
        compiled = traced.lower(lowering_platforms=("tpu",)).compile()
        assert compiled.as_text().count('custom_call_target="tpu_custom_call"') == 3
        grids = re.findall(r"GridMapping\(grid=\(([\d, ]+)\)", str(traced.jaxpr))
        return [math.prod(map(int, grid.split(","))) for grid in grids]

    # Two rows and two heads a chip, 8 blocks of queries; of keys 8, or the 2 that a window touches at most.
    assert steps(Causal()) == [2 * 2 * 8 * 8] * 3
    assert steps(Causal() & SlidingWindow(256)) == [2 * 2 * 8 * 2] * 3
