"""Every form is a bijection of bits, and does what a torch Linear's layout says."""

from collections.abc import Sequence

import jax
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.families.forms import (
    Form,
    HeadsIn,
    HeadsOut,
    HeadVectors,
    Joined,
    Same,
    Stacked,
    Transposed,
)

sizes = st.integers(1, 4)


@st.composite
def single(draw: st.DrawFn) -> tuple[Form, tuple[int, ...]]:
    """A form of one tensor, and the shape of theirs."""
    n, d, e, h = (draw(sizes) for _ in range(4))
    return draw(
        st.sampled_from(
            [
                (Same(), (n, d)), (Transposed(), (h, e)), (Transposed(), (n, h, e)), (HeadsIn(n), (n * d, e)),
                (HeadsOut(n), (e, n * d)), (HeadVectors(n), (n * d,)),
            ]
        )
    )  # fmt: skip


@st.composite
def forms(draw: st.DrawFn) -> tuple[Form, list[tuple[int, ...]], int]:
    """A form, the shapes of their tensors, and the number of ours."""
    kind = draw(st.sampled_from(["single", "stacked", "joined", "joined last"]))
    if kind == "single":
        form, shape = draw(single())
        return form, [shape], 1
    if kind == "stacked":
        form, shape = draw(single())
        return Stacked(form), [shape] * draw(sizes), 1
    lengths, n, e = tuple(draw(st.lists(sizes, min_size=1, max_size=4))), draw(sizes), draw(sizes)
    if kind == "joined":
        parts = tuple(draw(st.sampled_from([HeadsIn(n), Transposed(), Same()])) for _ in lengths)
        return Joined(tuple(n * length for length in lengths), parts), [(n * sum(lengths), e)], len(lengths)
    return Joined(lengths, (Same(),) * len(lengths), axis=-1), [(n, e, sum(lengths))], len(lengths)


def drawn(shapes: Sequence[tuple[int, ...]], dtype: str) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    kind = np.dtype(ml_dtypes.bfloat16) if dtype == "bfloat16" else np.dtype(dtype)
    # Any bits at all, among them infinities and every kind of NaN.
    return [
        np.frombuffer(rng.bytes(int(np.prod(shape)) * kind.itemsize), kind).reshape(shape) for shape in shapes
    ]


@given(forms(), st.sampled_from(["float32", "bfloat16", "float16"]))
def test_there_and_back_is_the_same_bits(case: tuple[Form, list[tuple[int, ...]], int], dtype: str) -> None:
    form, shapes, count = case
    theirs = drawn(shapes, dtype)
    ours = form.to_ours(theirs)
    assert len(ours) == count
    again = form.to_theirs(ours)
    assert [(a.shape, a.dtype, a.tobytes()) for a in again] == [(t.shape, t.dtype, t.tobytes()) for t in theirs]
    once_more = form.to_ours(again)
    assert [a.tobytes() for a in once_more] == [o.tobytes() for o in ours]
    # Shapes alone say the same.
    traced = jax.eval_shape(form.to_theirs, [jax.ShapeDtypeStruct(o.shape, "float32") for o in ours])
    assert [t.shape for t in traced] == shapes


def test_heads_are_those_of_a_linear_layer() -> None:
    heads, features, embed = 3, 4, 5
    rng = np.random.default_rng(1)
    x = rng.normal(size=embed)
    weight, out = rng.normal(size=(heads * features, embed)), rng.normal(size=(embed, heads * features))
    [ours] = HeadsIn(heads).to_ours([weight])
    np.testing.assert_allclose(np.einsum("e,end->nd", x, ours), (weight @ x).reshape(heads, features), rtol=1e-12)
    [back] = HeadsOut(heads).to_ours([out])
    y = rng.normal(size=(heads, features))
    np.testing.assert_allclose(np.einsum("nd,nde->e", y, back), out @ y.reshape(-1), rtol=1e-12)


def test_joined_is_in_order() -> None:
    theirs = np.arange(12.0).reshape(6, 2)
    first, second = Joined((4, 2), (HeadsIn(2), Transposed())).to_ours([theirs])
    np.testing.assert_array_equal(first, theirs[:4].T.reshape(2, 2, 2))
    np.testing.assert_array_equal(second, theirs[4:].T)
    with pytest.raises(ValueError, match="axis 0 has 6 rows instead of 7"):
        Joined((4, 3), (Same(), Same())).to_ours([theirs])
