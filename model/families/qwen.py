"""Qwen2, Qwen2.5 (Yang 2024) and Qwen3 (Yang 2025)."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from model.attention import Attention
from model.config import TransformerConfig
from model.families.layer_types import (
    FULL,
    SLIDING,
    layer_types,
    planned,
    published_layer_types,
    published_window,
)
from model.families.link import Link, link
from model.families.llama import Llama, sizes
from model.families.published import FamilyError, Published
from model.masks import Causal, SlidingWindow
from model.mixing import MixingPlan
from model.norms import RMSNorm
from model.qk_norm import PerHead


def _qwen(*shape: int, eps: float = 1e-6, longest: int = 32_768, tied: bool = False, **others: Any) -> dict[str, Any]:
    values = sizes(*shape, rope_theta=1_000_000.0, tie_word_embeddings=tied, use_sliding_window=False, **others)
    return values | {"rms_norm_eps": eps, "max_position_embeddings": longest}


class Qwen2(Llama):
    """Llama with biases of queries, keys and values, and, where the config asks for it, windows in the upper blocks."""

    name = "qwen2"
    architectures = ("Qwen2ForCausalLM",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "Qwen2-0.5B": _qwen(24, 896, 14, 2, 4864, 151_936, longest=131_072, tied=True),
        "Qwen2-1.5B": _qwen(28, 1536, 12, 2, 8960, 151_936, longest=131_072, tied=True),
        "Qwen2-7B": _qwen(28, 3584, 28, 4, 18_944, 152_064, longest=131_072),
        "Qwen2-72B": _qwen(80, 8192, 64, 8, 29_568, 152_064, eps=1e-5, longest=131_072),
        "Qwen2.5-0.5B": _qwen(24, 896, 14, 2, 4864, 151_936, tied=True),
        "Qwen2.5-1.5B": _qwen(28, 1536, 12, 2, 8960, 151_936, longest=131_072, tied=True),
        "Qwen2.5-3B": _qwen(36, 2048, 16, 2, 11_008, 151_936, tied=True),
        "Qwen2.5-7B": _qwen(28, 3584, 28, 4, 18_944, 152_064, longest=131_072),
        "Qwen2.5-14B": _qwen(48, 5120, 40, 8, 13_824, 152_064, eps=1e-5, longest=131_072),
        "Qwen2.5-32B": _qwen(64, 5120, 40, 8, 27_648, 152_064, eps=1e-5, longest=131_072),
        "Qwen2.5-72B": _qwen(80, 8192, 64, 8, 29_568, 152_064, eps=1e-5, longest=131_072),
    }

    def biases(self, published: Published) -> tuple[bool, bool]:
        """Of queries, keys and values alone."""
        return True, False

    def attention(self, published: Published) -> MixingPlan:
        """The whole row in the first `max_window_layers` blocks, a window in the others, or as `layer_types` has it."""
        count, window = published.get("num_hidden_layers"), None
        if published.get("use_sliding_window", False):
            window = published.nullable("sliding_window", 4096)
        full = count if window is None else published.get("max_window_layers", 28)
        kinds = layer_types(published, count, [FULL if i < full else SLIDING for i in range(count)])
        positions, fields = self.rope(published), self.attention_fields(published)
        layers = {FULL: self.attention_layer(published, Causal(), positions, **fields)}
        if window is None and SLIDING in kinds:
            raise FamilyError(f"{published.place} has {SLIDING} in layer_types, and no sliding_window that is used")
        if window is not None:
            mask = Causal() & SlidingWindow(window)
            layers[SLIDING] = self.attention_layer(published, mask, positions, **fields)
        return planned(kinds, layers)

    def attention_fields(self, published: Published) -> dict[str, Any]:
        """Fields of the attention layers that other families of this layout do not have."""
        return {}

    def keys(self, config: TransformerConfig) -> dict[str, Any]:
        """Adds the windows; what is always so has no key."""
        values, kinds, window = super().keys(config), published_layer_types(config), published_window(config)
        fixed = {"attention_bias", "mlp_bias"}
        return {key: value for key, value in values.items() if key not in fixed} | {
            "use_sliding_window": window is not None,
            "sliding_window": window,
            # For readers that do not know layer_types.
            "max_window_layers": kinds.index(SLIDING) if window is not None else config.layers,
            "layer_types": kinds,
        }


class Qwen3(Qwen2):
    """Queries and keys are normalised head by head; no biases, unless the config has them."""

    name = "qwen3"
    architectures = ("Qwen3ForCausalLM",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "Qwen3-0.6B": _qwen(28, 1024, 16, 8, 3072, 151_936, head_dim=128, longest=40_960, tied=True),
        "Qwen3-1.7B": _qwen(28, 2048, 16, 8, 6144, 151_936, head_dim=128, longest=40_960, tied=True),
        "Qwen3-4B": _qwen(36, 2560, 32, 8, 9728, 151_936, head_dim=128, longest=40_960, tied=True),
        "Qwen3-8B": _qwen(36, 4096, 32, 8, 12_288, 151_936, head_dim=128, longest=40_960),
        "Qwen3-14B": _qwen(40, 5120, 40, 8, 17_408, 151_936, head_dim=128, longest=40_960),
        "Qwen3-32B": _qwen(64, 5120, 64, 8, 25_600, 151_936, head_dim=128, longest=40_960),
    }
    head_dim = 128

    def biases(self, published: Published) -> tuple[bool, bool]:
        """All or none."""
        return (bool(published.get("attention_bias", False)),) * 2

    def attention_fields(self, published: Published) -> dict[str, Any]:
        """The norms."""
        return {"qk_norm": PerHead(RMSNorm(published.get("rms_norm_eps", self.eps)))}

    def keys(self, config: TransformerConfig) -> dict[str, Any]:
        """Adds whether there are biases."""
        attention = self.part(config.attention.at(0), Attention, "attention")
        return {**super().keys(config), "attention_bias": attention.bias}

    def attention_links(self, config: TransformerConfig, block: int) -> Iterator[Link]:
        """Adds the norms."""
        yield from super().attention_links(config, block)
        for ours, theirs in (("query_norm", "q_norm"), ("key_norm", "k_norm")):
            yield link(f"blocks.{block}.attention.{ours}.scale", f"model.layers.{block}.self_attn.{theirs}.weight")
