"""Mixtures of experts: each token goes through a few of many feed-forward layers."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from model.balance import Balance, Unbalanced
from model.dispatch import Dispatch, Experts
from model.dropless import Dropless
from model.feedforward import MLP, FeedForward, FeedForwardLayer, GatedMLP, Products, Routing
from model.parameters import Sizes, named, stacked
from model.router import Router, RouterLayer, Softmax
from model.rows import one_hot
from sharding.axes import EXPERTS


@dataclasses.dataclass(frozen=True)
class MoE(FeedForward):
    """A weighted sum of the experts that a router chooses for a token (Shazeer 2017, eq. 1).

    Attributes:
      experts: number of experts that are chosen from.
      top_k: number that a token goes through.
      expert: what each of them is; small and many of them are the fine-grained experts of DeepSeekMoE (Dai 2024).
      router: how they are chosen.
      dispatch: how tokens come to them.
      shared: a layer that every token goes through besides (DeepSeekMoE, section 3.2), if there is one.
      balance: what keeps their load even.
      z_loss: weight of the square of the router's log of a softmax's sum (ST-MoE, Zoph 2022, eq. 5; there 1e-3).
    """

    experts: int
    top_k: int
    expert: MLP | GatedMLP
    router: Router = Softmax()
    dispatch: Dispatch = Dropless()
    shared: FeedForward | None = None
    balance: Balance = Unbalanced()
    z_loss: float = 0.0

    def __post_init__(self) -> None:
        if self.experts < 1:
            raise ValueError(f"MoE.experts is {self.experts}; it is at least 1")
        self.router.check(self.experts, self.top_k)

    def build(self, sizes: Sizes, rngs: nnx.Rngs) -> FeedForwardLayer:
        """A router, experts with a leading axis of their number, and what is shared."""
        return MoELayer(self, sizes, rngs)

    def matmul_weights(self, embed: int) -> int:
        """Those of the router, of `top_k` experts and of the shared layer."""
        shared = 0 if self.shared is None else self.shared.matmul_weights(embed)
        return embed * self.experts + self.top_k * self.expert.matmul_weights(embed) + shared

    def weight_count(self, embed: int) -> int:
        """All weights."""
        return self.active_weight_count(embed) + (self.experts - self.top_k) * self.expert.weight_count(embed)

    def active_weight_count(self, embed: int) -> int:
        """Those of the router with its biases, of `top_k` experts and of the shared layer."""
        router = self.experts * (embed + self.router.has_bias + self.balance.has_bias)
        shared = 0 if self.shared is None else self.shared.active_weight_count(embed)
        return router + self.top_k * self.expert.weight_count(embed) + shared


class MoELayer(FeedForwardLayer):
    """The weights of `MoE`, and its formula.

    `balance_bias` is moved by the training step, not by a gradient, and in steps too small for bfloat16.
    """

    def __init__(self, spec: MoE, sizes: Sizes, rngs: nnx.Rngs) -> None:
        self.spec = spec
        self.router = RouterLayer(spec.router, spec.experts, sizes, rngs)
        self.experts = stacked(lambda r: spec.expert.build(sizes, r), spec.experts, rngs, EXPERTS)
        self.shared = None if spec.shared is None else spec.shared.build(sizes, rngs)
        bias = jnp.zeros((spec.experts,), jnp.float32)
        self.balance_bias = named(bias, (EXPERTS,)) if spec.balance.has_bias else None

    def __call__(self, x: Float[Array, "batch seq embed"]) -> Float[Array, "batch seq embed"]:
        """The weighted sum of experts, plus the shared layer."""
        return self.routed(x)[0]

    def routed(self, x: Float[Array, "batch seq embed"]) -> tuple[Float[Array, "batch seq embed"], Routing | None]:
        """The output; what balancing adds to the loss, and figures of all tokens, padding among them.

        The figures: `load` [experts], the share of all choices that each expert has; `entropy` of the
        router's probabilities in nats; `z`, the mean square of its log of a softmax's sum; `dropped`, the
        share of choices without a place.
        """
        spec = self.spec
        logits = self.router(x)
        correction = None if self.balance_bias is None else jax.lax.stop_gradient(self.balance_bias[...])
        choice = spec.router.choose(logits, spec.top_k, correction)
        y, dropped = spec.dispatch(self._apart(), x, choice)
        y = y if self.shared is None else y + self.shared(x)

        probabilities = spec.router.probabilities(logits)
        chosen = one_hot(choice.experts, spec.experts).sum(-2)
        z = jnp.square(jax.nn.logsumexp(logits, axis=-1)).mean()
        entropy = -jax.scipy.special.xlogy(probabilities, probabilities).sum(-1).mean()
        load = chosen.mean((0, 1)) / spec.top_k
        loss = spec.balance.loss(probabilities, chosen) + spec.z_loss * z
        return y, Routing(loss, {"load": load, "entropy": entropy, "z": z, "dropped": dropped})

    def _apart(self) -> Experts:
        """The experts and their weights."""
        graph, state = nnx.split(self.experts)
        # A layer in a stack has one axis less than the names tell of.
        axes = {str(path[-1]): v.get_metadata("axes")[-v[...].ndim:] for path, v in nnx.to_flat_state(state)}

        def through(weights: dict[str, Array], rows: Array, products: Products) -> Array:
            return nnx.merge(graph, weights).through(rows, products)

        return Experts(through, nnx.to_pure_dict(state), axes, self.spec.experts)
