"""Rematerialisation by name: what the backward pass keeps of a layer, and what it computes again."""

from collections.abc import Callable
from typing import Any

import jax

_policies = jax.checkpoint_policies

# What attention gives: under the one name the layer's output, under the other what Pallas' splash kernel keeps for its
# backward pass (`model.splash.KEPT`), without which the kernel would run again for it.
_ATTENTION = ("attention", "splash")
# The other products of a block that its backward pass reads.
_PRODUCTS = ("query", "key", "value", "mixed", "gate", "up", *_ATTENTION)


def _minimal(prim: Any, *operands: Any, **params: Any) -> Any:
    # A product of each head with one matrix turns it (`model.rotary`), and costs next to nothing.
    turns = [x.ndim for x in operands] == [4, 2]
    return not turns and _policies.dots_with_no_batch_dims_saveable(prim, *operands, **params)


# Names as researchers know them from MaxText; None means that nothing is recomputed.
POLICIES: dict[str, Callable[..., Any] | None] = {
    "none": None,
    "full": _policies.nothing_saveable,
    "minimal": _minimal,
    "save_qkv": _policies.save_only_these_names("query", "key", "value"),
    "save_attention": _policies.save_only_these_names(*_ATTENTION),
    "save_query_attention": _policies.save_only_these_names("query", *_ATTENTION),
    "save_qkv_attention": _policies.save_only_these_names("query", "key", "value", *_ATTENTION),
    "save_products": _policies.save_only_these_names(*_PRODUCTS),
}


def rematerialised(body: Callable[..., Any], name: str, rolled: bool) -> Callable[..., Any]:
    """`body`, recomputed in the backward pass as the policy `name` says; `rolled` if it is the body of a loop."""
    policy = POLICIES[name]
    # Inside a loop XLA cannot merge the recomputation with the forward pass, so no barrier is needed.
    return body if policy is None else jax.checkpoint(body, policy=policy, prevent_cse=not rolled)
