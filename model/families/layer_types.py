"""Blocks of several types, as `layer_types` of a config.json lists them."""

from collections.abc import Mapping, Sequence

from model.config import TransformerConfig
from model.families.published import FamilyError, Published
from model.mixing import Interleaved, Mixing, MixingPlan

FULL, SLIDING = "full_attention", "sliding_attention"


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


def published_layer_types(config: TransformerConfig) -> list[str]:
    """The type of each block of a spec: whether it has a window."""
    windows = [block.attention.mask.retention().latest for block in config.blocks]
    return [FULL if window is None else SLIDING for window in windows]


def published_window(config: TransformerConfig) -> int | None:
    """The window of the blocks that have one."""
    windows = [block.attention.mask.retention().latest for block in config.blocks]
    return next((window for window in windows if window is not None), None)
