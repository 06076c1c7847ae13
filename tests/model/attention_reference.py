"""Softmax attention and its derivative in NumPy float64, and kernels run beside it."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from model.kernels import Kernel, Scores, Visibility
from model.masks import Mask, Places

BATCH, HEAD_DIM = 2, 6
PARTS = ("q", "k", "v", "bias", "sinks")


class Case(NamedTuple):
    """A mask and the shape it is tried in; `segments` is [BATCH, length] or None."""

    mask: Mask
    length: int
    heads: int = 2
    kv_heads: int = 1
    segments: np.ndarray | None = None
    softcap: float = 0.0
    bias: bool = False
    sinks: bool = False
    head_dim: int = HEAD_DIM


def values(case: Case) -> dict[str, np.ndarray]:
    """Random q, k, v, the cotangent `up`, and bias and sinks if the case has them; float32."""
    rng = np.random.default_rng(case.length * case.heads + case.kv_heads)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    drawn = {
        "q": normal(BATCH, case.length, case.heads, case.head_dim),
        "k": normal(BATCH, case.length, case.kv_heads, case.head_dim),
        "v": normal(BATCH, case.length, case.kv_heads, case.head_dim),
        "up": normal(BATCH, case.length, case.heads, case.head_dim),
    }
    if case.bias:
        drawn["bias"] = normal(case.heads, case.length, case.length)
    if case.sinks:
        drawn["sinks"] = normal(case.heads)
    return drawn


def seen_by(case: Case) -> np.ndarray:
    """[BATCH, queries, keys] by the mask's own rule, which tests/model/test_masks.py verifies."""
    index = np.arange(case.length)
    segments = np.zeros((BATCH, case.length), int) if case.segments is None else case.segments
    query = Places(index[None, :, None], segments[:, :, None])
    key = Places(index[None, None], segments[:, None])
    return np.broadcast_to(case.mask.allowed(query, key), (BATCH, case.length, case.length))


def reference(case: Case, given: dict[str, np.ndarray], seen: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Output, and the derivatives of sum(output * up). A query that sees nothing gives and gets 0."""
    wide = {name: x.astype(np.float64) for name, x in given.items()}
    q, k, v, up = (wide[name] for name in ("q", "k", "v", "up"))
    seen = seen_by(case) if seen is None else seen
    group = q.shape[2] // k.shape[2]
    k_all, v_all = np.repeat(k, group, axis=2), np.repeat(v, group, axis=2)
    scale = 1 / np.sqrt(q.shape[-1])
    logits = np.einsum("bqhd,bthd->bhqt", q, k_all) * scale
    slope = np.ones_like(logits)
    if case.softcap:
        bent = np.tanh(logits / case.softcap)
        logits, slope = case.softcap * bent, 1 - bent**2
    e = np.where(seen[:, None], np.exp(logits + wide.get("bias", 0.0)), 0)
    sink = np.exp(wide["sinks"])[None, :, None, None] if "sinks" in wide else np.zeros((1, 1, 1, 1))
    total = e.sum(-1, keepdims=True) + sink
    p, p_sink = (np.divide(x, total, out=np.zeros(np.broadcast_shapes(x.shape, total.shape)), where=total > 0)
                 for x in (e, sink))  # fmt: skip
    d_p = np.einsum("bqhd,bthd->bhqt", up, v_all)
    inner = (p * d_p).sum(-1, keepdims=True)
    d_biased = p * (d_p - inner)
    d_logits = d_biased * slope

    def shared(x: np.ndarray) -> np.ndarray:
        return x.reshape(*x.shape[:2], -1, group, x.shape[-1]).sum(3)

    found = {
        "output": np.einsum("bhqt,bthd->bqhd", p, v_all),
        "q": np.einsum("bhqt,bthd->bqhd", d_logits, k_all) * scale,
        "k": shared(np.einsum("bhqt,bqhd->bthd", d_logits, q)) * scale,
        "v": shared(np.einsum("bhqt,bqhd->bthd", p, up)),
    }
    if case.bias:
        found["bias"] = d_biased.sum(0)
    if case.sinks:
        found["sinks"] = -(p_sink * inner).sum((0, 2, 3))
    return found


def lowered(kernel: Kernel, case: Case, given: dict[str, np.ndarray]) -> jax.stages.Lowered:
    """The program that gives a kernel's output and derivatives, of `up` and the other values in the order of PARTS."""
    where = Places(
        jnp.arange(case.length)[None], None if case.segments is None else jnp.asarray(case.segments, jnp.int32)
    )
    names = [name for name in PARTS if name in given]

    def both(up: Any, *parts: Any) -> Any:
        def output(*parts: Any) -> Any:
            named = dict(zip(names, parts, strict=True))
            scores = Scores(case.head_dim**-0.5, named.get("bias"), case.softcap, named.get("sinks"))
            visibility = Visibility(case.mask, where, where, plain=True)
            return kernel.attend(named["q"], named["k"], named["v"], visibility, scores, None)

        result, back = jax.vjp(output, *parts)
        return result, *back(up)

    return jax.jit(both).lower(*(jnp.asarray(given[name]) for name in ("up", *names)))


def run(
    kernel: Kernel, case: Case, given: dict[str, np.ndarray], options: dict[str, Any] | None = None
) -> dict[str, np.ndarray]:
    """The same by a kernel, compiled with `options`."""
    names = [name for name in PARTS if name in given]
    program = lowered(kernel, case, given).compile(options)
    found = program(*(jax.device_put(given[name], at) for name, at in zip(
        ("up", *names), program.input_shardings[0], strict=True
    )))  # fmt: skip
    return dict(zip(("output", *names), map(np.asarray, found), strict=True))


def agree(
    kernels: Iterable[Kernel], case: Case, within: float = 2e-6, options: dict[str, Any] | None = None
) -> None:
    """Asserts that kernels give the reference's output and gradients, to `within` of the largest entry."""
    given = values(case)
    expected = reference(case, given)
    for kernel in kernels:
        found = run(kernel, case, given, options)
        assert found.keys() == expected.keys()
        for part, wanted in expected.items():
            np.testing.assert_allclose(
                found[part], wanted, atol=within * max(1.0, np.abs(wanted).max()), rtol=0,
                err_msg=f"{kernel}: {part} of {case}",
            )  # fmt: skip
