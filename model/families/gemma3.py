"""Gemma 3, its text part (Gemma team 2025)."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from model.config import TransformerConfig
from model.families.gemma2 import Gemma2
from model.families.layer_types import FULL, SLIDING, published_layer_types
from model.families.link import Link, link
from model.families.llama import sizes
from model.families.published import Published
from model.families.rope import described_scaling
from model.norms import RMSNorm
from model.positions import Rope
from model.qk_norm import PerHead


def _gemma3(
    *shape: int, head_dim: int = 256, scalar: int = 256, window: int = 1024, factor: float = 8.0
) -> dict[str, Any]:
    return sizes(
        *shape, head_dim=head_dim, query_pre_attn_scalar=scalar, sliding_window=window, sliding_window_pattern=6,
        rope_theta=1_000_000.0, rope_local_base_freq=10_000.0,
        rope_scaling={"rope_type": "linear", "factor": factor} if factor else None,
        max_position_embeddings=131_072 if factor else 32_768,
    )  # fmt: skip


class Gemma3(Gemma2):
    """Five blocks with windows to each one without, rotated apart; normalised queries and keys; no caps."""

    name = "gemma3_text"
    architectures = ("Gemma3ForCausalLM",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "gemma-3-1b": _gemma3(26, 1152, 4, 1, 6912, 262_144, window=512, factor=0.0),
        "gemma-3-4b": _gemma3(34, 2560, 8, 4, 10_240, 262_208),
        "gemma-3-12b": _gemma3(48, 3840, 16, 8, 15_360, 262_208),
        "gemma-3-27b": _gemma3(62, 5376, 32, 16, 21_504, 262_208, head_dim=128, scalar=168),
    }
    softcap = None
    final_softcap = None

    def period(self, published: Published) -> int:
        """Every so many blocks one has no window."""
        return published.get("sliding_window_pattern", 6)

    def attention_fields(self, published: Published) -> dict[str, Any]:
        """The scale and the norms; transformers reads the key of the cap, and caps nothing."""
        published.only("attn_logit_softcapping", None)
        norm = RMSNorm(published.get("rms_norm_eps", self.eps), offset=1.0)
        return {**super().attention_fields(published), "qk_norm": PerHead(norm)}

    def rope_of(self, published: Published, kind: str) -> Rope:
        """`rope_parameters` of the type; in older files the plain keys are those of blocks without a window."""
        told = published.get("rope_parameters", {}).get(kind) or {}
        if kind == FULL:
            told = {**told, **published.get("rope_scaling", {})}
            theta = published.get("rope_theta", 1_000_000.0)
        else:
            theta = published.get("rope_local_base_freq", 10_000.0)
        others = {key: value for key, value in published.values.items() if key != "rope_scaling"}
        return self.rope(Published({**others, "rope_parameters": told}, published.place), theta=float(theta))

    def keys(self, config: TransformerConfig) -> dict[str, Any]:
        """Two rotary embeddings, by the keys that all versions of transformers read."""
        values, kinds = super().keys(config), published_layer_types(config)
        for kind, key in ((FULL, "rope_theta"), (SLIDING, "rope_local_base_freq")):
            values.pop(key, None)
            if kind in kinds:
                values[key] = config.attention.at(kinds.index(kind)).positions.theta
        scaling = config.attention.at(kinds.index(FULL)).positions.scaling if FULL in kinds else None
        return {**values, "rope_scaling": described_scaling(scaling)}

    def attention_links(self, config: TransformerConfig, block: int) -> Iterator[Link]:
        """Adds the norms."""
        yield from super().attention_links(config, block)
        for ours, theirs in (("query_norm", "q_norm"), ("key_norm", "k_norm")):
            yield link(f"blocks.{block}.attention.{ours}.scale", f"model.layers.{block}.self_attn.{theirs}.weight")
