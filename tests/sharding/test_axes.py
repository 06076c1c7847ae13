"""Constraints act through the active layout and only while it is active."""

import jax
import jax.numpy as jnp
import pytest

from sharding.axes import active, constrain, device_kind, platform
from sharding.placements import FullySharded


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
