"""Mixtures of experts that drop nothing, on one device or with tokens and experts divided over many."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, Int

from model.dispatch import Dispatch, Experts, Stream, one_hot
from model.exchange import Exchange, traffic
from model.grouped import back, grouped, inverse, sent
from model.router import Choice
from sharding.axes import BATCH, EXPERTS, MLP, SEQ, mesh, spread, ways


@dataclasses.dataclass(frozen=True)
class Dropless(Dispatch):
    """Tokens are sorted by expert, and each expert multiplies its own (MegaBlocks, Gale 2022): none are dropped."""

    def __call__(self, experts: Experts, x: Stream, choice: Choice) -> tuple[Stream, Float[Array, ""]]:
        """One product of all sorted tokens, with experts where they lie."""
        devices, nothing = mesh(), jnp.zeros((), jnp.float32)
        if devices is None or devices.size == 1:
            return weighted(_each(experts, x, choice.experts), choice.weights), nothing
        split = Split.of(devices, experts, x.shape)
        return split.over(experts, x, choice), nothing


def _each(experts: Experts, x: Stream, chosen: Int[Array, "batch seq top_k"]) -> Float[Array, "batch seq top_k embed"]:
    rows = grouped(experts, x.reshape(-1, x.shape[-1]), chosen.reshape(-1, chosen.shape[-1]))
    return rows.reshape(*chosen.shape, -1)


def weighted(y: Float[Array, "batch seq top_k embed"], weights: Float[Array, "batch seq top_k"]) -> Stream:
    """The sum of what a token's experts give; summed in float32."""
    return (y.astype(jnp.float32) * weights[..., None]).sum(-2).astype(y.dtype)


@dataclasses.dataclass(frozen=True)
class Split:
    """How tokens, experts and their hidden units are divided over a mesh.

    Attributes:
      mesh: the mesh.
      tokens: mesh axes of the batch, and of the sequence.
      experts: mesh axes of experts.
      hidden: mesh axes of their hidden units.
    """

    mesh: Mesh
    tokens: tuple[tuple[str, ...], tuple[str, ...]]
    experts: tuple[str, ...]
    hidden: tuple[str, ...]

    @classmethod
    def of(cls, devices: Mesh, experts: Experts, shape: tuple[int, ...]) -> "Split":
        """What the active layout divides, where sizes allow it."""
        hidden = {size for name, w in experts.weights.items()
                  for axis, size in zip(experts.axes[name], w.shape, strict=True) if axis == MLP}
        tokens = tuple(spread(axis) if size % ways(axis) == 0 else () for axis, size in zip((BATCH, SEQ), shape))
        return cls(
            devices, tokens, spread(EXPERTS) if experts.divided else (),
            spread(MLP) if all(size % ways(MLP) == 0 for size in hidden) else (),
        )

    def over(self, experts: Experts, x: Stream, choice: Choice) -> Stream:
        """Each device has its own tokens; those go to where their experts are, and come back."""
        shares = {EXPERTS: self.experts, MLP: self.hidden}
        weights = {name: PartitionSpec(*(shares.get(axis) or None for axis in axes)) for name, axes in experts.axes.items()}
        stream = PartitionSpec(*(axes or None for axes in self.tokens), None)

        def run(weights: dict[str, Array], x: Array, chosen: Array, shares: Array) -> Array:
            return self.on_a_device(experts._replace(weights=weights), x, Choice(chosen, shares))

        return jax.shard_map(
            run, mesh=self.mesh, in_specs=(weights, stream, stream, stream), out_specs=stream, check_vma=False
        )(experts.weights, x, choice.experts, choice.weights)

    def on_a_device(self, experts: Experts, x: Stream, choice: Choice) -> Stream:
        if self.hidden:
            experts = experts._replace(weights=self.once(experts))
        held = experts._replace(count=experts.count // self.size(self.experts))
        sending = tuple(axis for axis in self.experts if axis in sum(self.tokens, ()))
        standing = tuple(axis for axis in self.experts if axis not in sending)
        chosen = choice.experts
        if not self.experts:
            y = _each(held, x, chosen)
        elif standing == self.experts:
            mine = chosen - jax.lax.axis_index(standing) * held.count
            y = _each(held, x, jnp.where((mine >= 0) & (mine < held.count), mine, held.count))
        else:
            y = self.exchanged(held, x, chosen)
        y = weighted(y, choice.weights)
        return jax.lax.psum(y, axes) if (axes := self.hidden + standing) else y

    def exchanged(self, held, x, chosen):
        n = self.size(self.experts)
        flat = chosen.reshape(-1)
        top_k = chosen.shape[-1]
        source = jnp.argsort(flat, stable=True)
        slot = inverse(source)
        counts = one_hot(flat, n * held.count, jnp.int32).sum(0)
        counts = jax.lax.all_gather(counts, self.experts).reshape(n, n, held.count)
        places = n * (flat.size // top_k) * min(top_k, held.count)
        plan = traffic(counts.sum(-1), 0, places)
        exchange = Exchange(self.experts, n)
        rows = exchange(sent(x.reshape(-1, x.shape[-1]), source, slot, top_k), plan, places)
        me = jax.lax.axis_index(self.experts)
        sizes = counts[:, me].reshape(-1)
        ends = jnp.cumsum(sizes)
        piece = jnp.searchsorted(ends, jnp.arange(places), side="right")
        owner = jnp.where(piece < sizes.size, piece % held.count, held.count)
        y = grouped(held, rows, owner[:, None])[:, 0]
        y = exchange(y, plan.reversed, flat.size)
        return back(y, source, slot).reshape(*chosen.shape, -1)

    def once(self, experts: Experts) -> dict[str, Array]:
        """Weights that all hidden units share, such as biases of the output, on the first device alone."""
        first = jax.lax.axis_index(self.hidden) == 0
        return {n: w if MLP in experts.axes[n] else jnp.where(first, w, 0) for n, w in experts.weights.items()}

    def size(self, axes: tuple[str, ...]) -> int:
        """Number of devices along mesh axes."""
        return math.prod(self.mesh.shape[axis] for axis in axes)
