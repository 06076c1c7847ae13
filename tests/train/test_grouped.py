"""Rules for groups of weights: what they change, what they leave, and what is said of rules for nothing."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from train.optimizers import SOAP, Adafactor, AdamW, Grouped, Lion, Muon, Optimizer, Rule, ScheduleFreeAdamW, Shampoo
from train.weights import Weight

QUICK = {"xla_backend_optimization_level": 0}
TABLE = {
    "blocks": {
        "query": Weight(("blocks", "query"), ("layers", "embed", "heads", "head_dim"), (2, 4, 2, 2)),
        "up": Weight(("blocks", "up"), ("layers", "embed", "mlp"), (2, 4, 4)),
        "norms": {"scale": Weight(("blocks", "norms", "scale"), ("layers", "embed"), (2, 4))},
    },
    "embedding": Weight(("embedding",), ("vocab", "embed"), (6, 4)),
}
EACH = [AdamW(), Adafactor(), Lion(), Muon(iterations=2), SOAP(), Shampoo(), ScheduleFreeAdamW(clip=1.0)]
# The others end in the same two parts.
FEW = [AdamW(), Adafactor(), Muon(iterations=2), ScheduleFreeAdamW()]
each = pytest.mark.parametrize("spec", EACH, ids=lambda spec: type(spec).__name__)


def drawn(seed: int, size: float = 1.0) -> dict:
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda w: jnp.asarray(size * rng.normal(size=w.shape), jnp.float32), TABLE)


def stepped(spec: Optimizer, table: dict, gradients: list[dict], weights: dict) -> tuple[dict, object]:
    optimizer = spec.transform(lambda step: 0.1, table)
    state, update = optimizer.init(weights), jax.jit(optimizer.update, compiler_options=QUICK)
    for gradient in gradients:
        updates, state = update(gradient, state, weights)
        weights = optax.apply_updates(weights, updates)
    return weights, state


@each
def test_frozen_weights_are_as_if_they_were_not_there(spec: Optimizer) -> None:
    weights = drawn(0)
    weights["blocks"]["up"] = weights["blocks"]["up"].at[0, 0, 0].set(-0.0)
    # Huge gradients of what is frozen, which clipping would otherwise go by.
    gradients = [drawn(i) for i in (1, 2, 3)]
    for gradient in gradients:
        gradient["blocks"] = jax.tree.map(lambda g: 1e3 * g, gradient["blocks"])
    found, state = stepped(Grouped(spec, (Rule("blocks/*", trained=False),)), TABLE, gradients, weights)
    for a, b in zip(jax.tree.leaves(found["blocks"]), jax.tree.leaves(weights["blocks"]), strict=True):
        np.testing.assert_array_equal(np.asarray(a).view(np.uint32), np.asarray(b).view(np.uint32))
    rest = [{"embedding": tree["embedding"]} for tree in (TABLE, *gradients, weights)]
    alone, kept = stepped(spec, rest[0], rest[1:-1], rest[-1])
    np.testing.assert_allclose(found["embedding"], alone["embedding"], rtol=1e-6, atol=1e-7)
    # Nothing is kept of them.
    assert [leaf.shape for leaf in jax.tree.leaves(state)] == [leaf.shape for leaf in jax.tree.leaves(kept)]


@pytest.mark.parametrize("spec", FEW, ids=lambda spec: type(spec).__name__)
def test_a_rate_multiplies_the_step(spec: Optimizer) -> None:
    """Also one that the model's parametrisation gave."""
    table = TABLE | {"embedding": dataclasses.replace(TABLE["embedding"], rate=3.0)}
    weights, gradient = drawn(0), drawn(1)
    spec = dataclasses.replace(spec, decay=0.0)
    plain, _ = stepped(spec, TABLE, [gradient], weights)
    rules = (Rule("embedding", rate=0.5), Rule("*/up", rate=0.25))
    ruled, _ = stepped(Grouped(spec, rules), table, [gradient], weights)
    steps, changed = (jax.tree.map(jnp.subtract, end, weights) for end in (plain, ruled))
    np.testing.assert_allclose(changed["embedding"], 1.5 * steps["embedding"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(changed["blocks"]["up"], 0.25 * steps["blocks"]["up"], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(changed["blocks"]["query"], steps["blocks"]["query"])


@each
def test_a_decay_is_of_the_group_alone(spec: Optimizer) -> None:
    spec = dataclasses.replace(spec, decay=0.4)
    table = TABLE | {"embedding": dataclasses.replace(TABLE["embedding"], decay=0.5)}
    weights, nothing = drawn(0), jax.tree.map(jnp.zeros_like, drawn(0))
    rules = (Rule("*", decay=0.0), Rule("*/scale", decay=2.0), Rule("embedding", decay=0.25))
    found, _ = stepped(Grouped(spec, rules), table, [nothing], weights)
    shrunk = jax.tree.map(lambda end, start: np.asarray(1 - end / start), found, weights)
    for name, share in (("query", 0.0), ("up", 0.0)):
        np.testing.assert_allclose(shrunk["blocks"][name], share, atol=1e-6)
    np.testing.assert_allclose(shrunk["blocks"]["norms"]["scale"], 0.1 * 0.4 * 2.0, rtol=1e-4)
    # The parametrisation's share of decay is multiplied.
    np.testing.assert_allclose(shrunk["embedding"], 0.1 * 0.4 * 0.125, rtol=1e-4)


def test_the_last_rule_that_says_it_holds() -> None:
    rules = (Rule("blocks/*", rate=2.0, trained=False), Rule("*/query", trained=True), Rule("blocks/norms/*", rate=3.0))
    ruled = Grouped(AdamW(), rules).ruled(TABLE)["blocks"]
    said = {name: (w.rate, w.trained, w.decay) for name, w in (("q", ruled["query"]), ("n", ruled["norms"]["scale"]))}
    assert said == {"q": (2.0, True, None), "n": (3.0, False, None)}


def test_rules_for_nothing_are_refused() -> None:
    def transform(*rules: Rule) -> None:
        Grouped(AdamW(), rules).transform(lambda step: 1.0, TABLE)

    with pytest.raises(ValueError, match="no weight's name matches 'embeding'; the nearest are embedding, "):
        transform(Rule("embeding", rate=0.1))
    # A pattern is of the whole name.
    with pytest.raises(ValueError, match="no weight's name matches 'blocks'"):
        transform(Rule("blocks", rate=0.1))
    with pytest.raises(ValueError, match="freeze every weight"):
        transform(Rule("*", trained=False))
    with pytest.raises(ValueError, match=r"Rule\('\*'\) says nothing; give rate, decay or trained"):
        Rule("*")
    with pytest.raises(ValueError, match="Rule.rate is -1.0; it is 0 or more"):
        Rule("*", rate=-1.0)
