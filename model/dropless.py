"""Mixtures of experts that drop nothing, on one device or with tokens and experts divided over many."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh, Mesh, PartitionSpec
from jaxtyping import Array, Float

from model.dispatch import Dispatch, Experts, Stream
from model.distant import Distant
from model.exchange import Exchange
from model.grouped import grouped
from model.router import Choice
from model.rows import summed
from sharding.axes import BATCH, EXPERTS, MLP, SEQ, mesh, spread, ways


@dataclasses.dataclass(frozen=True)
class Dropless(Dispatch):
    """Tokens are sorted by expert, and each expert multiplies its own (MegaBlocks, Gale 2022): none are dropped.

    Each device sorts its own tokens. Where experts are divided, tokens go to the devices of their experts and come
    back. A device has room for `buffer` times the rows that it gets when all experts have equal loads: for
    buffer * tokens * top_k rows in the stream's width twice, and in the hidden layer's. Rows that are beyond are sent
    in further rounds, as many as the fullest device needs: time is lost then, and neither a token nor memory.

    Attributes:
      buffer: rows a device has room for, as a multiple of an even share.
    """

    buffer: float = 1.5

    def __post_init__(self) -> None:
        if self.buffer <= 0:
            raise ValueError(f"Dropless.buffer is {self.buffer}; it is above 0")

    def __call__(self, experts: Experts, x: Stream, choice: Choice) -> tuple[Stream, Float[Array, ""]]:
        """One product of all sorted tokens of a device, with experts where they lie."""
        devices, nothing = mesh(), jnp.zeros((), jnp.float32)
        if devices is None or devices.size == 1:
            return _each(experts, x, choice), nothing
        return Split.of(devices, experts, x, self.buffer).over(experts, x, choice), nothing


def _each(experts: Experts, x: Stream, choice: Choice) -> Stream:
    tokens = Choice(*(part.reshape(-1, part.shape[-1]) for part in choice))
    return summed(grouped(experts, x.reshape(-1, x.shape[-1]), tokens)).reshape(x.shape)


@dataclasses.dataclass(frozen=True)
class Split:
    """How tokens, experts and their hidden units are divided over a mesh.

    Attributes:
      mesh: the mesh.
      tokens: mesh axes of the batch, and those of the sequence.
      experts: mesh axes of experts.
      hidden: mesh axes of their hidden units.
      buffer: that of `Dropless`.
    """

    mesh: Mesh | AbstractMesh
    tokens: tuple[tuple[str, ...], tuple[str, ...]]
    experts: tuple[str, ...]
    hidden: tuple[str, ...]
    buffer: float

    @classmethod
    def of(cls, devices: Mesh | AbstractMesh, experts: Experts, x: Stream, buffer: float) -> "Split":
        """As the active layout has it, where sizes can be divided; what cannot every device has whole."""
        held = spread(EXPERTS) if experts.divided else ()
        units = {
            size for name, w in experts.weights.items()
            for axis, size in zip(experts.axes[name], w.shape, strict=True) if axis == MLP
        }  # fmt: skip
        hidden = () if any(size % ways(MLP) for size in units) else spread(MLP)
        tokens = tuple(() if size % ways(axis) else spread(axis) for axis, size in zip((BATCH, SEQ), x.shape))
        if not set(held) <= {name for names in tokens for name in names}:
            # Devices that have the same tokens need not send them; so those have that would otherwise.
            tokens = tuple(tuple(name for name in names if name not in held) for names in tokens)
        return cls(devices, tokens, held, hidden, buffer)

    def over(self, experts: Experts, x: Stream, choice: Choice) -> Stream:
        """What experts give, each device computing what its tokens or its experts are for."""
        shares = {EXPERTS: self.experts, MLP: self.hidden}
        parts = {name: _spec(*(shares.get(axis, ()) for axis in axes)) for name, axes in experts.axes.items()}
        stream = _spec(*self.tokens, ())
        # Cast here, so that what devices gather of one another has the format of the products.
        weights = {name: w.astype(x.dtype) for name, w in experts.weights.items()}
        run = functools.partial(self.on_a_device, experts._replace(weights={}))
        return jax.shard_map(
            run, mesh=self.mesh, in_specs=(parts, stream, (stream, stream)), out_specs=stream, check_vma=False
        )(weights, x, tuple(choice))

    def on_a_device(
        self, experts: Experts, weights: dict[str, Array], x: Stream, choice: tuple[Array, Array]
    ) -> Stream:
        """Its share of experts, and its tokens; `experts` have no weights yet, and the count of all."""
        if self.hidden:
            # What hidden units do not divide, such as a bias of the output, counts on one device alone.
            first = jax.lax.axis_index(self.hidden) == 0
            weights = {name: w if MLP in experts.axes[name] else w * first for name, w in weights.items()}
        held = experts._replace(weights=weights, count=experts.count // self.size(self.experts))
        summed = self.hidden
        if not self.experts:
            y = _each(held, x, Choice(*choice))
        elif set(self.experts) <= {name for names in self.tokens for name in names}:
            exchange = Exchange(self.experts, self.size(self.experts))
            y = Distant(held, exchange, self.mesh.axis_names, self.buffer)(x, Choice(*choice))
        else:
            number = choice[0] - jax.lax.axis_index(self.experts) * held.count
            own = jnp.where((number >= 0) & (number < held.count), number, held.count)
            y = _each(held, x, Choice(own, choice[1]))
            summed = (*self.experts, *summed)
        return _added(y, summed, self.size(summed)) if summed else y

    def size(self, axes: tuple[str, ...]) -> int:
        """Number of devices along mesh axes."""
        return math.prod(self.mesh.shape[axis] for axis in axes)


def _spec(*axes: tuple[str, ...]) -> PartitionSpec:
    return PartitionSpec(*(names or None for names in axes))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _added(y: Array, axes: tuple[str, ...], devices: int) -> Array:
    """The sum over devices, which all of them have."""
    return jax.lax.psum(y, axes)


# `shard_map` gives each of several devices that have the same output its part of one gradient. All of it is what each
# summand has, and to multiply is cheaper than to add up parts that are equal.
_added.defvjp(lambda y, axes, devices: (_added(y, axes, devices), None), lambda axes, devices, _, dy: (dy * devices,))
