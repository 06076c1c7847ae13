"""The fused kernel's XLA form against softmax attention in NumPy float64, and what is passed to cuDNN."""

import importlib.util
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.cpu_attention import Recomputed
from model.fused import Fused, kernel_for, mask_arguments
from model.kernels import Dense, Scores, Visibility
from model.masks import Causal, Full, Places, Prefix, Segments, SlidingWindow
from model.splash import Splash
from sharding.axes import active

_spec = importlib.util.spec_from_file_location("attention_reference", Path(__file__).parent / "attention_reference.py")
attention_reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(attention_reference)
Case, agree = attention_reference.Case, attention_reference.agree

SEGMENTS = np.array([[1] * 5 + [2] * 8, [1] * 13])
CASES = {
    "causal": Case(Causal(), 13, 4, 2),
    "window and bias": Case(SlidingWindow(4) & Causal(), 13, 4, 1, bias=True),
    "everything": Case(Full(), 13),
    "segments, but none": Case(Causal() & Segments(), 13),
    "segments": Case(Causal() & Segments(), 13, 2, 1, SEGMENTS),
    "no form of its own": Case(Causal() | Prefix(3), 13),
    "softcap and sinks": Case(Causal(), 13, softcap=1.0, sinks=True),
}


@pytest.mark.parametrize("name", CASES)
def test_the_kernel_is_softmax_attention(name: str) -> None:
    agree([Fused()], CASES[name])


def test_masks_as_arguments() -> None:
    assert mask_arguments(Causal() & Full()) == {"is_causal": True}
    assert mask_arguments(Causal() & SlidingWindow(8) & SlidingWindow(5)) == {
        "is_causal": True, "local_window_size": (4, 0),
    }  # fmt: skip
    assert mask_arguments(Full()) == {}
    for mask in (SlidingWindow(3), Causal() | SlidingWindow(3), Causal() & Segments(), ~Causal()):
        assert mask_arguments(mask) is None


class OnGpu:
    """A layout of one GPU."""

    platform = "gpu"
    mesh = None

    def spread(self, axis: str) -> tuple[str, ...]:
        return ()

    def activation(self, axes: tuple, shape: tuple) -> None:
        return None


@pytest.mark.parametrize(("dtype", "wanted"), [(jnp.bfloat16, "cudnn"), (jnp.float32, "xla")])
def test_cudnn_is_asked_for_what_it_can_do(dtype: Any, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(jax.nn, "dot_product_attention", lambda q, *_, **more: asked.append(more) or q)
    q = jnp.ones((1, 8, 2, 4), dtype)
    where = Places(jnp.arange(8)[None])
    with active(OnGpu()):
        Fused().attend(q, q, q, Visibility(Causal() & SlidingWindow(3), where, where, True), Scores(0.5), None)
    assert asked == [{"scale": 0.5, "implementation": wanted, "is_causal": True, "local_window_size": (2, 0)}]


def test_each_platform_has_a_kernel() -> None:
    chosen = [kernel_for(name) for name in ("cpu", "gpu", "tpu", "metal")]
    assert chosen == [Recomputed(), Fused(), Splash(fused_backward=True), Dense()]
