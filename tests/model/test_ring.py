"""Ring attention on eight devices against softmax attention and its derivative in NumPy float64."""

import importlib.util
from pathlib import Path

import jax
import numpy as np
import pytest

from model.masks import (
    Causal,
    Full,
    Global,
    Prefix,
    RandomBlocks,
    Segments,
    Sinks,
    SlidingWindow,
    Strided,
    Window,
)
from model.ring import Ring
from model.splash import Splash
from sharding.axes import active
from sharding.placements import Combined

_spec = importlib.util.spec_from_file_location("attention_reference", Path(__file__).parent / "attention_reference.py")
attention_reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(attention_reference)
Case, agree = attention_reference.Case, attention_reference.agree

QUICK = {"xla_backend_optimization_level": 0}


def packed(length: int) -> np.ndarray:
    return np.sort(np.random.default_rng(0).integers(0, 3, (2, length)), axis=1)


SMALL = Splash(128, 128, 128, interpret=True)
EIGHT, FOUR = Combined(context=8), Combined(context=4, tensor=2)
CASES = {
    "causal": (EIGHT, Ring(), Case(Causal(), 16, 4, 2)),
    "causal, straight": (EIGHT, Ring(zigzag=False), Case(Causal(), 16, 4, 2)),
    "causal, in blocks": (FOUR, Ring(block=2), Case(Causal() & Segments(), 32, 4, 2, packed(32))),
    "odd stretches, key heads repeated": (FOUR, Ring(), Case(Causal(), 20, 4, 1)),
    "window": (EIGHT, Ring(), Case(Causal() & SlidingWindow(5), 32, 2, 1)),
    "both ways": (FOUR, Ring(block=4), Case(Window(3, 5) & Segments(), 32, 2, 1, packed(32))),
    "everything": (FOUR, Ring(), Case(Full(), 16, 2, 2)),
    "prefix": (FOUR, Ring(), Case(Causal() | Prefix(6), 16, 2, 1)),
    "strided, softcap and sinks": (
        FOUR, Ring(block=2), Case(Causal() & (Sinks(1) | Strided(5)), 32, 4, 2, None, 1.5, False, True),
    ),
    "bias, softcap, packed": (
        FOUR, Ring(block=2), Case(Causal() & Segments(), 32, 4, 2, packed(32), 1.5, True, True),
    ),
    "bigbird": (FOUR, Ring(block=4), Case(Global(2) | Window(2, 2) | RandomBlocks(4, 1, seed=1, blocks=8), 32)),
    "splash, causal and packed": (
        FOUR, Ring(SMALL), Case(Causal() & Segments(), 1024, 4, 2, packed(1024), softcap=1.5, sinks=True),
    ),
    "splash, window": (FOUR, Ring(SMALL), Case(Causal() & SlidingWindow(70), 512, 2, 1)),
    "queries without keys": (FOUR, Ring(block=2), Case(Causal() & ~SlidingWindow(9), 32, 2, 1)),
    "nothing seen": (FOUR, Ring(), Case(~Full(), 16)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_ring_is_softmax_attention(name: str) -> None:
    placement, kernel, case = CASES[name]
    with active(placement.on(jax.devices())):
        agree([kernel], case, 1e-5, QUICK)
