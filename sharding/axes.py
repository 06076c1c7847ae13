"""Logical axis names, and the one call by which a model says how an activation is laid out.

Weights carry a tuple of these names; activations are annotated with `constrain`. Neither ever names a
mesh axis: `sharding.placement` maps names to mesh axes.
"""

import contextlib
import contextvars
import math
from collections.abc import Iterator
from typing import NamedTuple, Protocol, runtime_checkable

import jax

BATCH = "batch"
SEQ = "seq"
EMBED = "embed"
HEADS = "heads"
KV_HEADS = "kv_heads"
HEAD_DIM = "head_dim"
MLP = "mlp"
VOCAB = "vocab"
LAYERS = "layers"
POSITION = "position"
EXPERTS = "experts"
RANK = "rank"
# Features of a small vector that heads are made of, as inputs of what makes them.
LATENT = "latent"
BUCKETS = "buckets"
TYPES = "types"
LABELS = "labels"
BLOCKS = "blocks"
# Rows of a batch where experts have an axis of their own, which then needs the mesh axis that divides the batch too.
GROUPS = "groups"
# Stages of a pipeline, each with the layers and the activations of its own.
STAGES = "stages"

LOGICAL_AXES = (
    BATCH, SEQ, EMBED, HEADS, KV_HEADS, HEAD_DIM, MLP, VOCAB, LAYERS, POSITION, EXPERTS, RANK, LATENT, BUCKETS, TYPES,
    LABELS, BLOCKS, GROUPS, STAGES,
)


class Pipeline(NamedTuple):
    """How a batch goes through the stages of a pipeline.

    Attributes:
      micro: micro-batches that it is computed in.
      repeats: times that each goes round all stages.
    """

    micro: int = 1
    repeats: int = 1


@runtime_checkable
class ActiveLayout(Protocol):
    """What a model needs of a layout: shardings of activations, the mesh for code that is written a device at a time,
    and the platform they live on. A layout that derives from it divides nothing, save where it says so."""

    platform: str
    mesh: jax.sharding.Mesh

    def activation(self, axes: tuple[str | None, ...], shape: tuple[int, ...]) -> jax.sharding.Sharding | None:
        """Sharding of an activation with these logical axes, or None to leave it to the compiler."""

    def spread(self, axis: str) -> tuple[str, ...]:
        """Mesh axes of more than one device that this logical axis of activations is divided over, outermost first."""
        return ()

    def replicas(self) -> tuple[str, ...]:
        """Mesh axes of more than one device that divide the batch and no weight, outermost first."""
        return ()

    def pipeline(self) -> Pipeline:
        """How a batch goes through the stages of a pipeline."""
        return Pipeline()


_active: contextvars.ContextVar[ActiveLayout | None] = contextvars.ContextVar("layout", default=None)


@contextlib.contextmanager
def active(layout: ActiveLayout) -> Iterator[None]:
    """Makes `layout` the one that `constrain` and `platform` consult while a program is traced."""
    token = _active.set(layout)
    try:
        yield
    finally:
        _active.reset(token)


class _Undivided(ActiveLayout):
    """A layout as code sees it that is written for one device's share."""

    def __init__(self, whole: ActiveLayout) -> None:
        self.platform, self.mesh = whole.platform, whole.mesh
        self.device_kind = getattr(whole, "device_kind", None)


@contextlib.contextmanager
def within_share() -> Iterator[None]:
    """For the inside of a `jax.shard_map` over all axes: what is traced there finds nothing divided any more."""
    layout = _active.get()
    if layout is None:
        yield
        return
    with active(_Undivided(layout)):
        yield


def constrain(x: jax.Array, *axes: str | None) -> jax.Array:
    """Pins the sharding of activation `x`, whose dimensions are the named logical axes.

    Without an active layout (a plain call on one device) it is the identity.
    """
    layout = _active.get()
    if layout is None:
        return x
    sharding = layout.activation(axes, x.shape)
    return x if sharding is None else jax.lax.with_sharding_constraint(x, sharding)


def apart() -> bool:
    """Whether weights lie between steps in smaller shares than they are computed with."""
    return bool(getattr(_active.get(), "apart", False))


def gathered(x: jax.Array, *axes: str | None) -> jax.Array:
    """A weight as it lies between steps, pinned to the shares it is computed with; the identity unless `apart`."""
    return jax.lax.with_sharding_constraint(x, _active.get().weight(axes, x.shape)) if apart() else x


def scattered(x: jax.Array, *axes: str | None) -> jax.Array:
    """A weight's gradient, pinned to the shares in which weights lie between steps; the identity unless `apart`."""
    return jax.lax.with_sharding_constraint(x, _active.get().kept(axes, x.shape)) if apart() else x


def platform() -> str:
    """The platform a program is traced for: the active layout's, or JAX's default.

    Compiling ahead of time for a TPU happens on a CPU, so the default backend alone would mislead.
    """
    layout = _active.get()
    return jax.default_backend() if layout is None else layout.platform


def device_kind() -> str:
    """What the devices call themselves that a program is traced for, such as `TPU v5 lite`."""
    layout = _active.get()
    kind = None if layout is None else getattr(layout, "device_kind", None)
    return jax.devices()[0].device_kind if kind is None else kind


def laid_out(shape: tuple[int, ...], *axes: str | None) -> jax.sharding.Sharding | None:
    """Sharding that `constrain` would give an activation of this shape; None without a layout or a choice."""
    layout = _active.get()
    return None if layout is None else layout.activation(axes, shape)


def spread(axis: str) -> tuple[str, ...]:
    """Mesh axes that a logical axis of activations is divided over, outermost first; none without a layout.

    With `mesh`, this is what code needs that says itself what a device computes and sends (`jax.shard_map`): which
    axes these are, and what they are called, is the placement's affair.
    """
    layout = _active.get()
    return () if layout is None else layout.spread(axis)


def ways(axis: str) -> int:
    """Number of parts that a logical axis of activations is divided into."""
    layout = _active.get()
    return 1 if layout is None else math.prod(layout.mesh.shape[name] for name in layout.spread(axis))


def mesh() -> jax.sharding.Mesh | jax.sharding.AbstractMesh | None:
    """The mesh a program is traced for, as `here` sees it; None without a layout."""
    layout = _active.get()
    return None if layout is None else here(layout.mesh)


def here(whole: jax.sharding.Mesh) -> jax.sharding.Mesh | jax.sharding.AbstractMesh:
    """A mesh as the code being traced sees it.

    Within the function of a `jax.shard_map` over some axes these are manual, and no sharding may name them: the code
    is that of one of their devices. The compiler, or a `jax.shard_map` within, still divides over the others.
    """
    around = jax.sharding.get_abstract_mesh()
    return around if around.manual_axes else whole


def manual() -> tuple[str, ...]:
    """Mesh axes of which the code being traced is that of one device; see `here`."""
    return tuple(jax.sharding.get_abstract_mesh().manual_axes)


def replicas() -> tuple[str, ...]:
    """Mesh axes that divide the batch and no weight, outermost first; none without a layout."""
    layout = _active.get()
    return () if layout is None else layout.replicas()


def pipeline() -> Pipeline:
    """How a batch goes through the stages of a pipeline; as a whole without a layout."""
    layout = _active.get()
    return Pipeline() if layout is None else layout.pipeline()
