"""Where trials lie."""

import jax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from sharding.placement import Placement, PlacementError
from sharding.placements import Combined, DataParallel
from sharding.trials import beside, stacked


@pytest.mark.parametrize(
    ("placement", "trials", "devices", "mesh"),
    [
        (DataParallel(), 8, 8, {"trial": 8, "data": 1}),
        (DataParallel(), 4, 8, {"trial": 4, "data": 2}),
        (DataParallel(), 6, 8, {"trial": 6, "data": 1}),
        (DataParallel(), 5, 1, {"trial": 1, "data": 1}),
        (Combined(fsdp=2, tensor=2), 6, 8, {"trial": 2, "fsdp": 2, "tensor": 2}),
        (Combined(tensor=2), 3, 8, {"trial": 3, "fsdp": 1, "tensor": 2}),
    ],
)
def test_as_many_lie_apart_as_there_is_room_for(
    placement: Placement, trials: int, devices: int, mesh: dict[str, int]
) -> None:
    layout = beside(placement, trials, jax.devices()[:devices])
    assert {name: layout.mesh.shape[name] for name in mesh} == mesh
    assert layout.mesh.size == jax.numpy.prod(jax.numpy.asarray(list(mesh.values())))


def test_a_trial_needs_its_devices() -> None:
    with pytest.raises(PlacementError, match="^a trial takes 4 devices, and there are 2"):
        beside(Combined(fsdp=4), 3, jax.devices()[:2])


def test_trials_come_first() -> None:
    layout = beside(DataParallel(), 4)
    assert stacked(layout.batch) == NamedSharding(layout.mesh, PartitionSpec("trial", "data"))
