"""Constraints act through the active layout and only while it is active."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import pytest

from sharding.axes import (
    active,
    apart,
    constrain,
    device_kind,
    gathered,
    mesh,
    platform,
    scattered,
    spread,
    ways,
)
from sharding.placements import Combined, FullySharded, ShardedOptimizer


def test_without_a_layout_nothing_is_constrained() -> None:
    x = jnp.ones((8, 2))
    assert constrain(x, "batch", "embed") is x
    assert platform() == "cpu" and device_kind() == jax.devices()[0].device_kind


def test_a_layout_constrains_while_it_is_active() -> None:
    layout = FullySharded(data=2).on()

    def shards() -> tuple[int, ...]:
        double = jax.jit(lambda x: constrain(2 * x, "batch", "embed"))
        return double(jnp.ones((16, 4))).addressable_shards[0].data.shape

    with active(layout):
        assert shards() == (2, 4)
        with pytest.raises(KeyError), active(FullySharded().on(jax.devices()[:1])):
            assert platform() == "cpu"
            raise KeyError
        assert shards() == (2, 4)
    assert shards() == (16, 4)


def test_a_layout_tells_how_an_axis_is_divided() -> None:
    assert mesh() is None and spread("batch") == () and ways("batch") == 1
    layout = Combined(data=2, fsdp=2, context=2).on()
    with active(layout):
        assert mesh() is layout.mesh and dict(layout.mesh.shape) == {"data": 2, "fsdp": 2, "context": 2}
        assert spread("batch") == ("data", "fsdp") and ways("batch") == 4
        assert spread("seq") == ("context",) and ways("seq") == 2
        assert spread("heads") == () and ways("heads") == 1
    with active(Combined(fsdp=1).on(jax.devices()[:1])):
        assert spread("batch") == () and ways("batch") == 1


def test_weights_are_gathered_and_gradients_scattered_where_they_lie_apart() -> None:
    def shards(pinned: Callable[..., jax.Array]) -> tuple[int, ...]:
        return jax.jit(lambda x: pinned(2 * x, "embed", "mlp"))(jnp.ones((16, 4))).addressable_shards[0].data.shape

    assert not apart() and gathered(x := jnp.ones((16, 4)), "embed", "mlp") is x
    with active(FullySharded().on()):
        assert not apart() and scattered(x, "embed", "mlp") is x
    with active(ShardedOptimizer(slices=2, fsdp=2, tensor=2).on()):
        assert apart() and shards(gathered) == (8, 2) and shards(scattered) == (4, 2)


def test_code_of_one_device_sees_the_other_axes_alone() -> None:
    layout = Combined(data=2, stage=2, fsdp=2, micro=6).on()
    assert layout.replicas() == ("data",) and layout.pipeline() == (6, 1)

    def of_stage(x: jax.Array) -> jax.Array:
        assert spread("stages") == () and ways("batch") == 4
        assert mesh().manual_axes == ("stage",)
        return constrain(2 * x, "batch", "embed")

    def run(x: jax.Array) -> jax.Array:
        assert spread("stages") == ("stage",) and ways("batch") == 8
        assert spread("batch") == ("data", "stage", "fsdp")
        stages = jax.sharding.PartitionSpec("stage")
        along = jax.shard_map(
            of_stage, mesh=mesh(), in_specs=stages, out_specs=stages, axis_names={"stage"}, check_vma=False
        )
        return along(x)

    with active(layout):
        x = jnp.arange(32.0).reshape(16, 2)
        assert (jax.jit(run)(x) == 2 * x).all()
