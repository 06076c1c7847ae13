"""Arrays of weights put on devices tensor by tensor: in memory are the shards of this host, never the whole."""

from collections.abc import Callable, Iterable

import jax
import numpy as np

Path = tuple[str, ...]
# The sharding of an array, by its path and shape.
Shardings = Callable[[Path, tuple[int, ...]], jax.sharding.Sharding]


class Parts:
    """The shards of one array that live on this host, filled by the tensors that the array stacks.

    Args:
      leaf: shape and format of the array.
      sharding: how it is to lie.
    """

    def __init__(self, leaf: jax.ShapeDtypeStruct, sharding: jax.sharding.Sharding) -> None:
        self._shape, self._sharding = leaf.shape, sharding
        self._places = {
            device: tuple(cut.indices(size)[:2] for cut, size in zip(index, leaf.shape, strict=True))
            for device, index in sharding.addressable_devices_indices_map(leaf.shape).items()
        }
        # Devices that hold the same share one buffer.
        self._blocks = {
            spans: np.empty([stop - start for start, stop in spans], leaf.dtype)
            for spans in dict.fromkeys(self._places.values())
        }

    def take(self, repeat: int | None, read: Callable[[], np.ndarray]) -> None:
        """Copies what shards need of one tensor, which is read only if they do.

        Args:
          repeat: its index in the array's leading axis; None if it is the whole array.
          read: gives the tensor.
        """
        for spans, block in self._blocks.items():
            if repeat is None:
                block[...] = read()[tuple(slice(*span) for span in spans)]
            elif spans[0][0] <= repeat < spans[0][1]:
                block[repeat - spans[0][0]] = read()[tuple(slice(*span) for span in spans[1:])]

    def placed(self) -> jax.Array:
        """The array; the buffers are let go of."""
        shards = [jax.device_put(self._blocks[spans], device) for device, spans in self._places.items()]
        self._blocks = {}
        return jax.make_array_from_single_device_arrays(self._shape, self._sharding, shards)


def groups(links: Iterable[tuple[tuple[str, ...], tuple[Path, ...]]]) -> list[tuple[list[Path], list[str]]]:
    """Arrays that have to be filled together so that no link is read twice, and the tensors that fill them.

    Args:
      links: for each link the names of its tensors, and the paths of the arrays that they belong to.
    """
    found: list[tuple[list[Path], list[str]]] = []
    for names, paths in links:
        met = [group for group in found if set(group[0]) & set(paths)]
        if len(met) == 1 and set(paths) <= set(met[0][0]):
            met[0][1].extend(names)
            continue
        joined = list(dict.fromkeys([path for group in met for path in group[0]] + list(paths)))
        tensors = [name for group in met for name in group[1]] + list(names)
        found = [group for group in found if group not in met] + [(joined, tensors)]
    return found
