"""Rotary embeddings to a config.json and back, in both of the forms that are published."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.families.published import FamilyError, Published
from model.families.rope import described_scaling, published_rope, rope
from model.positions import DynamicNTK, Learned, LinearScaling, Llama3Scaling, LongRope, Rope, Yarn
from model.rope_scaling import RopeScaling

factors = st.sampled_from([1.5, 2.0, 8.0, 32.0])
originals = st.sampled_from([32, 2048, 8192])


@st.composite
def scalings(draw: st.DrawFn) -> RopeScaling | None:
    factor, original = draw(factors), draw(originals)
    divisors = st.lists(st.sampled_from([1.0, 1.25, 40.0]), min_size=4, max_size=4).map(tuple)
    attention = draw(st.sampled_from([None, 1.25]))
    return draw(
        st.one_of(
            st.none(),
            st.just(LinearScaling(factor)),
            st.just(DynamicNTK(factor, original)),
            st.just(Llama3Scaling(factor, 1.0, 4.0, original)),
            st.builds(
                Yarn, st.just(factor), st.just(original), st.sampled_from([32.0, 16.0]), st.sampled_from([1.0, 2.0]),
                st.just(attention), st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0]), st.booleans(),
            ),
            st.builds(LongRope, divisors, divisors, st.just(original), st.just(factor), st.just(attention)),
        )
    )  # fmt: skip


@given(scalings(), st.sampled_from([10_000.0, 500_000.0]), st.sampled_from([1.0, 0.5, 0.25]), st.booleans())
def test_round_trip(scaling: RopeScaling | None, theta: float, fraction: float, interleaved: bool) -> None:
    positions = Rope(theta, scaling, fraction, interleaved)
    keys = published_rope(positions)
    assert rope(Published(keys), interleaved=interleaved) == positions
    # The newer form has all under one key.
    newer = {key: value for key, value in keys.items() if "max_position" in key}
    told = {**(keys["rope_scaling"] or {"rope_type": "default"}), "rope_theta": theta}
    if fraction != 1:
        told["partial_rotary_factor"] = fraction
    assert rope(Published({**newer, "rope_parameters": told}), interleaved=interleaved) == positions


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, Rope(10_000.0)),
        ({"rope_theta": 5e5, "rope_scaling": None}, Rope(5e5)),
        # The older key is `type`.
        ({"rope_scaling": {"type": "linear", "factor": 4.0}}, Rope(scaling=LinearScaling(4.0))),
        (
            {"rope_scaling": {"type": "dynamic", "factor": 2}, "max_position_embeddings": 64},
            Rope(scaling=DynamicNTK(2.0, 64)),
        ),
        # Yarn without its own original context takes the model's (Qwen2.5).
        (
            {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}, "max_position_embeddings": 128},
            Rope(scaling=Yarn(4.0, 128)),
        ),
        # Each type of layer has its own (Gemma 3).
        (
            {"rope_parameters": {"sliding_attention": {"rope_type": "default", "rope_theta": 7.0}}},
            Rope(7.0),
        ),
    ],
)
def test_published_forms(values: dict[str, Any], expected: Rope) -> None:
    assert rope(Published(values), kind="sliding_attention") == expected


def test_what_is_not_supported() -> None:
    with pytest.raises(FamilyError, match="has the rope type 'spiral'; supported are default, linear"):
        rope(Published({"rope_scaling": {"rope_type": "spiral"}}))
    with pytest.raises(FamilyError, match="positions are Learned; this family has Rope"):
        published_rope(Learned(8))
    with pytest.raises(FamilyError, match="the scaling Spiral has no published form"):
        described_scaling(Spiral())


class Spiral(RopeScaling):
    def frequencies(self, *args: Any) -> Any:
        raise AssertionError
