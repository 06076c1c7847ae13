"""Blocks of several types, as `layer_types` of a config.json lists them."""

from collections.abc import Mapping, Sequence

from model.families.published import FamilyError, Published
from model.mixing import Interleaved, Mixing, MixingPlan


def layer_types(published: Published, layers: int, default: Sequence[str]) -> list[str]:
    """The type of each block; without the key, those of `default` take turns.

    Raises FamilyError if there is not one a block.
    """
    kinds = published.get("layer_types", [default[i % len(default)] for i in range(layers)])
    if len(kinds) != layers:
        raise FamilyError(f"{published.place} has {len(kinds)} layer_types for {layers} layers")
    return list(kinds)


def planned(kinds: Sequence[str], specs: Mapping[str, Mixing]) -> MixingPlan:
    """The plan of blocks of these types: one spec, or as many in turn as the list repeats after.

    Raises FamilyError for a type that there is no spec for.
    """
    for kind in kinds:
        if kind not in specs:
            raise FamilyError(f"there is no layer type '{kind}'; supported are {', '.join(specs)}")
    period = next(p for p in range(1, len(kinds) + 1) if all(k == kinds[i % p] for i, k in enumerate(kinds)))
    chosen = tuple(specs[kind] for kind in kinds[:period])
    return chosen[0] if period == 1 else Interleaved(chosen)
