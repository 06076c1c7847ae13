"""Attention whose devices trade sequence for heads, against softmax attention in NumPy float64."""

import importlib.util
from pathlib import Path

import jax
import numpy as np
import pytest

from model.head_exchange import AllToAllHeads
from model.kernels import Blocked
from model.masks import Causal, Segments, SlidingWindow
from model.splash import Splash
from sharding.axes import active
from sharding.placements import Combined

_spec = importlib.util.spec_from_file_location("attention_reference", Path(__file__).parent / "attention_reference.py")
attention_reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(attention_reference)
Case, agree = attention_reference.Case, attention_reference.agree

QUICK = {"xla_backend_optimization_level": 0}
PACKED = np.sort(np.random.default_rng(0).integers(0, 3, (2, 16)), axis=1)
CASES = {
    "packed, repeated key heads": (
        Combined(context=4, tensor=2), AllToAllHeads(Blocked(8)), Case(Causal() & Segments(), 16, 8, 2, PACKED)
    ),
    "bias, softcap and sinks": (
        Combined(context=2, tensor=2, fsdp=2), AllToAllHeads(), Case(Causal(), 16, 4, 4, None, 1.5, True, True)
    ),
    "splash": (
        Combined(context=2, tensor=2, fsdp=2), AllToAllHeads(Splash(128, 128, 128, interpret=True)),
        Case(Causal() & SlidingWindow(70), 128, 4, 2),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_whole_rows_of_some_heads_are_softmax_attention(name: str) -> None:
    placement, kernel, case = CASES[name]
    with active(placement.on(jax.devices())):
        agree([kernel], case, 1e-5, QUICK)


def test_rows_are_traded_by_all_to_all_alone() -> None:
    case = Case(Causal() & Segments(), 16, 8, 4, PACKED)
    with active(Combined(context=4, fsdp=2).on(jax.devices())):
        text = attention_reference.lowered(AllToAllHeads(Blocked(8)), case, attention_reference.values(case)).as_text()
    assert text.count("stablehlo.all_to_all") == 8 and "collective_permute" not in text


def test_heads_that_cannot_be_shared_are_told() -> None:
    case = Case(Causal(), 16, 6, 2)
    with active(Combined(context=4, tensor=2).on(jax.devices())), pytest.raises(ValueError, match="6 heads cannot be"):
        agree([AllToAllHeads()], case)
