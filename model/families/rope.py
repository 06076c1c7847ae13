"""Rotary embeddings as a config.json tells of them, in the older keys and in the newer `rope_parameters`."""

import math
from collections.abc import Mapping
from typing import Any

from model.families.published import FamilyError, Published
from model.positions import (
    DynamicNTK,
    LinearScaling,
    Llama3Scaling,
    LongRope,
    Positions,
    Rope,
    Yarn,
)
from model.rope_scaling import RopeScaling


def rope(
    published: Published,
    kind: str | None = None,
    fraction: float = 1.0,
    interleaved: bool = False,
    theta: float | None = None,
) -> Rope:
    """The rotary embedding of a config.json.

    Args:
      published: the config.
      kind: the layer type to read, for models that tell of each type apart (`sliding_attention`).
      fraction: share of the features that turn, unless the config has `partial_rotary_factor`.
      interleaved: how features are paired; a matter of the family.
      theta: the base, unless `rope_parameters` has it; None: that of the key `rope_theta`.

    Raises FamilyError for a kind of scaling that is not supported.
    """
    told = parameters(published, kind)
    theta = told.get("rope_theta") or theta or published.get("rope_theta", 10_000.0)
    share = told.get("partial_rotary_factor") or published.get("partial_rotary_factor", fraction)
    return Rope(float(theta), scaling(told, published), float(share), interleaved)


def parameters(published: Published, kind: str | None = None) -> Mapping[str, Any]:
    """What the config says under `rope_parameters` or `rope_scaling`, of one type of layer."""
    told = published.get("rope_parameters", None) or published.get("rope_scaling", None) or {}
    return told.get(kind) or {} if kind is not None and kind in told else told


def scaling(told: Mapping[str, Any], published: Published) -> RopeScaling | None:
    """The scaling that these keys describe; None for the plain series."""
    kind = told.get("rope_type") or told.get("type") or "default"
    longest = published.get("max_position_embeddings", 0)
    original = told.get("original_max_position_embeddings") or published.get(
        "original_max_position_embeddings", longest
    )
    match kind:
        case "default":
            return None
        case "linear":
            return LinearScaling(float(told["factor"]))
        case "dynamic":
            return DynamicNTK(float(told["factor"]), longest)
        case "llama3":
            return Llama3Scaling(
                float(told["factor"]), float(told["low_freq_factor"]), float(told["high_freq_factor"]), original
            )
        case "yarn":
            return Yarn(
                float(told["factor"]),
                original,
                float(told.get("beta_fast") or 32),
                float(told.get("beta_slow") or 1),
                told.get("attention_factor"),
                float(told.get("mscale") or 0),
                float(told.get("mscale_all_dim") or 0),
                bool(told.get("truncate", True)),
            )
        case "longrope" | "su":
            factor = told.get("factor") or longest / original
            return LongRope(
                tuple(map(float, told["short_factor"])),
                tuple(map(float, told["long_factor"])),
                original,
                float(factor),
                told.get("attention_factor"),
            )
    raise FamilyError(
        f"{published.place} has the rope type '{kind}'; supported are default, linear, dynamic, llama3, yarn, longrope"
    )


def published_rope(positions: Positions, longest: int = 0) -> dict[str, Any]:
    """The keys of a config.json for a rotary embedding.

    Args:
      positions: the encoding.
      longest: `max_position_embeddings`, where the encoding does not imply it; 0 leaves it to the reader.

    Raises FamilyError for another encoding.
    """
    if not isinstance(positions, Rope):
        raise FamilyError(f"positions are {type(positions).__name__}; this family has Rope")
    keys: dict[str, Any] = {"rope_theta": positions.theta, "rope_scaling": described_scaling(positions.scaling)}
    if positions.fraction != 1:
        keys["partial_rotary_factor"] = positions.fraction
    longest = longest or _longest(positions.scaling)
    if longest:
        keys["max_position_embeddings"] = longest
    if isinstance(positions.scaling, LongRope):
        keys["original_max_position_embeddings"] = positions.scaling.original
    return keys


def described_scaling(scaling: RopeScaling | None) -> dict[str, Any] | None:
    """The value of `rope_scaling`."""
    match scaling:
        case None:
            return None
        case LinearScaling(factor):
            return {"rope_type": "linear", "factor": factor}
        case DynamicNTK(factor, _):
            return {"rope_type": "dynamic", "factor": factor}
        case Llama3Scaling(factor, low, high, original):
            return {
                "rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high,
                "original_max_position_embeddings": original,
            }  # fmt: skip
        case Yarn():
            told = {
                "rope_type": "yarn", "factor": scaling.factor, "beta_fast": scaling.beta_fast,
                "beta_slow": scaling.beta_slow, "original_max_position_embeddings": scaling.original,
                "truncate": scaling.truncate,
            }  # fmt: skip
            optional = {
                "attention_factor": scaling.attention_factor, "mscale": scaling.mscale,
                "mscale_all_dim": scaling.mscale_all_dim,
            }  # fmt: skip
            return told | {key: value for key, value in optional.items() if value}
        case LongRope():
            told = {
                "rope_type": "longrope", "short_factor": list(scaling.short_factors),
                "long_factor": list(scaling.long_factors), "factor": scaling.factor,
                "original_max_position_embeddings": scaling.original,
            }  # fmt: skip
            return told | ({"attention_factor": scaling.attention_factor} if scaling.attention_factor else {})
    raise FamilyError(f"the scaling {type(scaling).__name__} has no published form")


def _longest(scaling: RopeScaling | None) -> int:
    match scaling:
        case DynamicNTK(_, original):
            return original
        case LongRope(_, _, original, factor, _):
            return math.ceil(original * factor)
        case Llama3Scaling(factor, _, _, original) | Yarn(factor, original):
            return int(original * factor)
    return 0
