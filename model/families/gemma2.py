"""Gemma 2 (Gemma team 2024)."""

from collections.abc import Mapping
from typing import Any, ClassVar

from model.attention import Attention
from model.config import Logits, TransformerConfig
from model.families.gemma import Gemma
from model.families.layer_types import (
    FULL,
    SLIDING,
    layer_types,
    planned,
    published_layer_types,
    published_window,
)
from model.families.llama import BlockNorms, sizes
from model.families.published import FamilyError, Published
from model.masks import SlidingWindow
from model.mixing import MixingPlan
from model.positions import Rope
from model.residual import Residual, SandwichNorm


def _gemma2(*shape: int, head_dim: int, scalar: int) -> dict[str, Any]:
    return sizes(
        *shape, 256_000, head_dim=head_dim, query_pre_attn_scalar=scalar, sliding_window=4096,
        attn_logit_softcapping=50.0, final_logit_softcapping=30.0, max_position_embeddings=8192,
    )  # fmt: skip


class Gemma2(Gemma):
    """Norms on both sides of each layer, windows in every other block, capped scores and logits."""

    name = "gemma2"
    architectures = ("Gemma2ForCausalLM",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "gemma-2-2b": _gemma2(26, 2304, 8, 4, 9216, head_dim=256, scalar=256),
        "gemma-2-9b": _gemma2(42, 3584, 16, 8, 14_336, head_dim=256, scalar=256),
        "gemma-2-27b": _gemma2(46, 4608, 32, 16, 36_864, head_dim=128, scalar=144),
    }
    residual: ClassVar[Residual] = SandwichNorm()
    block_norms: ClassVar[BlockNorms] = (
        ("before0", "input_layernorm"),
        ("after0", "post_attention_layernorm"),
        ("before1", "pre_feedforward_layernorm"),
        ("after1", "post_feedforward_layernorm"),
    )
    activation_key = "hidden_activation"
    activation_names = ("gelu_pytorch_tanh",)
    softcap: ClassVar[float | None] = 50.0
    final_softcap: ClassVar[float | None] = 30.0

    def attention(self, published: Published) -> MixingPlan:
        """A window in all but the last block of each period, or as `layer_types` has it."""
        period, count = self.period(published), published.get("num_hidden_layers")
        kinds = layer_types(published, count, (SLIDING,) * (period - 1) + (FULL,))
        window, fields = published.nullable("sliding_window", 4096), self.attention_fields(published)
        layers = {FULL: self.attention_layer(published, self.mask(published), self.rope_of(published, FULL), **fields)}
        if window is None and SLIDING in kinds:
            raise FamilyError(f"{published.place} has {SLIDING} in layer_types, and no sliding_window")
        if window is not None:
            mask = self.mask(published) & SlidingWindow(window)
            layers[SLIDING] = self.attention_layer(published, mask, self.rope_of(published, SLIDING), **fields)
        return planned(kinds, layers)

    def attention_fields(self, published: Published) -> dict[str, Any]:
        """The scale and the cap of scores."""
        scale = published.get("query_pre_attn_scalar", 256) ** -0.5
        return {"scale": scale, "softcap": published.nullable("attn_logit_softcapping", self.softcap) or 0.0}

    def period(self, published: Published) -> int:
        """Every so many blocks one has no window."""
        return 2

    def rope_of(self, published: Published, kind: str) -> Rope:
        """The rotary embedding of a type of layer."""
        return self.rope(published)

    def logits(self, published: Published) -> Logits:
        """Capped."""
        return Logits(softcap=published.nullable("final_logit_softcapping", self.final_softcap) or 0.0)

    def keys(self, config: TransformerConfig) -> dict[str, Any]:
        """Adds windows, scale and caps."""
        attention = self.part(config.attention.at(0), Attention, "attention")
        features = attention.features(config.embed)
        scale = attention.scale or features**-0.5 * config.parametrization.scores(features)
        return {
            **super().keys(config),
            "sliding_window": published_window(config),
            "layer_types": published_layer_types(config),
            # Always a whole number; a scale that none gives is found out when this is read again.
            "query_pre_attn_scalar": round(scale**-2),
            "attn_logit_softcapping": attention.softcap or None,
            "final_logit_softcapping": config.logits.softcap or None,
        }
